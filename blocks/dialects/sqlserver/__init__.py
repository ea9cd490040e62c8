"""SQL Server 2019 and later. Not verified against a server: only its SQL text is tested."""
