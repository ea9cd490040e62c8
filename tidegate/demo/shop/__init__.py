"""The demo shop: a database, an SFTP folder and two APIs flow through the layers of a lake and into PostgreSQL."""
