"""The shop's database, on a MariaDB."""

from collections.abc import Sequence
from typing import Any

from tidegate.demo.mariadb import MariaDB
from tidegate.demo.shop.rows import Shop

NAME = "shop"
_TABLES = {
    "customers": (
        "customer_id INT PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(200), country CHAR(2),"
        " created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL"
    ),
    "products": (
        "product_id INT PRIMARY KEY, sku CHAR(5) NOT NULL, title VARCHAR(100) NOT NULL, category VARCHAR(20),"
        " price DECIMAL(10,2) NOT NULL, supplier_id INT, updated_at DATETIME NOT NULL"
    ),
    "orders": (
        "order_id INT PRIMARY KEY, customer_id INT NOT NULL, ordered_at DATETIME NOT NULL, status VARCHAR(20) NOT NULL,"
        " currency CHAR(3) NOT NULL, updated_at DATETIME NOT NULL"
    ),
    "order_items": (
        "order_id INT NOT NULL, line INT NOT NULL, product_id INT NOT NULL, quantity INT NOT NULL,"
        " unit_price DECIMAL(10,2) NOT NULL, PRIMARY KEY (order_id, line)"
    ),
}


def fill_database(server: MariaDB, shop: Shop) -> None:
    """Create the database and put the shop's rows into it."""
    server.sql(f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4")
    for table, columns in _TABLES.items():
        server.sql(f"CREATE TABLE {table} ({columns})", database=NAME)
    add_rows(server, "customers", shop.customers)
    add_rows(server, "products", shop.products)
    add_rows(server, "orders", shop.orders)
    add_rows(server, "order_items", shop.items)


def add_rows(server: MariaDB, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into a table, all or none."""
    places = ", ".join(["%s"] * len(rows[0]))
    connection = server.connect(NAME)
    try:
        with connection.cursor() as cursor:
            connection.begin()
            cursor.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        connection.commit()
    finally:
        connection.close()
