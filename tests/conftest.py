"""Registers the service fixtures: databases and stores that start when a test first asks for them."""

pytest_plugins = ["service_bench", "service_fixtures"]
