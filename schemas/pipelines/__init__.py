"""What `pipelines.yaml` and `publish.yaml` say: tables that are built of others, and where they are published."""
