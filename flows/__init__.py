"""One flow a file; the flow is the table of contents of its job. No classes, no module state."""
