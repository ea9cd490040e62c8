"""What Tidegate writes for people: a project to begin with, and sources to fill in. The texts are in `templates/`."""
