"""Everything that flows in: databases, files, SFTP folders and HTTP APIs, into the raw layer."""
