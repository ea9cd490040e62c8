"""SQLite 3.37 and later: one file, through Python's own driver."""
