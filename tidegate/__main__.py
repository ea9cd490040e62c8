"""Lets `python -m tidegate` do what `tidegate` does."""

from tidegate.cli import main

if __name__ == "__main__":
    main(prog_name="tidegate")
