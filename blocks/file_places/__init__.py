"""Where files of sources lie: a folder, a prefix on S3, an SFTP server. One file a kind, and a line in `open_place`."""
