"""The demonstration on real flights, and the embedded PostgreSQL that it runs on."""
