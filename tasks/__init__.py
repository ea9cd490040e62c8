"""One step a file: what is done to data. Plain functions; `tasks.prefect_tasks` makes Prefect tasks of them."""
