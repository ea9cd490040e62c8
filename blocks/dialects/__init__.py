"""Database dialects: how each database is read, digested and deleted from. One folder or file a database."""
