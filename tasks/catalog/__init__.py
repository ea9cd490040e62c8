"""What the lake knows of itself: tables, runs, quality, files, and what came from where."""
