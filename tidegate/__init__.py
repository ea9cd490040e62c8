"""What people touch: the command line, one file a command. Thin: it calls flows, or reads the lake."""
