"""What people see of an answer: one module a kind of answer, tables for terminals and JSON for machines."""
