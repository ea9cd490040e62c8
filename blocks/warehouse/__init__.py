"""A PostgreSQL database that tables of the lake are published to: what is there, how rows get in, how tables swap."""
