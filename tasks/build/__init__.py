"""From configuration to built tables: pipelines compiled to one DuckDB query each, checked, and committed."""
