"""How files of each format are read: one file a format, and a line in `open_file`."""
