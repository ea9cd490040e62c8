"""What `sources.yaml` says of the kinds of sources that are no databases: files, SFTP folders, HTTP APIs."""
