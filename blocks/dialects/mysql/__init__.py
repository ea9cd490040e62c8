"""MariaDB 10.5 and later, and MySQL 8."""
