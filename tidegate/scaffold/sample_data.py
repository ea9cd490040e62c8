"""The sample data of a new project: a shop in a SQLite file and a price list, the same each time, not all clean."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

CUSTOMERS, ORDERS = 240, 1200

_FIRST = ("Ada", "Bo", "Carla", "Dario", "Eva", "Felix", "Grete", "Hugo", "Ines", "Jonas", "Lucía", "Zoë")
_LAST = ("Berg", "Costa", "Duval", "Egger", "Ferrari", "García", "Huber", "Klein", "Moreau", "Rossi")
_COUNTRIES = ("AT", "CH", "DE", "ES", "FR", "IT")
_STATES = ("NEW", "PAID", "PAID", "SHIPPED", "SHIPPED", "SHIPPED", "CANCELLED")
_PRODUCTS = {
    "Tea": ("Assam", "Darjeeling", "Earl Grey", "Jasmine", "Sencha", "Rooibos"),
    "Coffee": ("Espresso", "Filter", "Decaf", "Arabica"),
    "Pots": ("Small Teapot", "Large Teapot", "Moka Pot", "French Press"),
    "Cups": ("Mug", "Espresso Cup", "Glass", "Bowl"),
}
_YEAR = datetime(2025, 1, 1)
_SCHEMA = """
CREATE TABLE customers (
    customer_id INTEGER PRIMARY KEY, full_name TEXT, email TEXT, country TEXT, created_at DATETIME);
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER, sku TEXT, quantity INTEGER, status TEXT,
    ordered_at DATETIME, updated_at DATETIME);
"""


def write_sample_data(folder: Path) -> list[Path]:
    """Write the sample data below a folder, and return its files.

    What is wrong with it: three customers have no usable address (`NO_ADDRESS`), two products are listed twice and one
    has no price, four orders are of customers that nobody knows, three have no quantity, and two were deleted.
    """
    chance = random.Random(20250101)
    skus = [f"{category[:2].upper()}-{n:02}" for category, names in _PRODUCTS.items() for n, _ in enumerate(names, 1)]
    database, price_list = folder / "shop.db", folder / "price_list" / "products_2025.csv"
    folder.mkdir(parents=True, exist_ok=True)
    price_list.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", _customers(chance))
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", _orders(chance, skus))
        connection.commit()
    price_list.write_text("".join(f"{';'.join(line)}\n" for line in _price_list(chance, skus)), encoding="utf-8")
    return [database, price_list]


def _customers(chance: random.Random) -> Iterator[tuple[object, ...]]:
    no_address = {17: "none", 101: "", 202: "eva.at.example.com"}
    for number in range(1, CUSTOMERS + 1):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        email = f"{first}.{last}{number}@example.com"
        yield (
            number,
            f"  {first} {last}" if number % 40 == 0 else f"{first} {last}",
            no_address.get(number, email if number % 9 == 0 else email.lower()),
            chance.choice(_COUNTRIES),
            str(_YEAR - timedelta(minutes=chance.randrange(525_600))),
        )


def _orders(chance: random.Random, skus: list[str]) -> Iterator[tuple[object, ...]]:
    moments = sorted(_YEAR + timedelta(seconds=chance.randrange(365 * 86_400)) for _ in range(ORDERS))
    for number, moment in enumerate(moments, 1):
        yield (
            number,
            9000 + number if number % 300 == 7 else chance.randint(1, CUSTOMERS),
            chance.choice(skus),
            0 if number % 400 == 13 else chance.choice((1, 1, 1, 2, 2, 3, 6)),
            "DELETED" if number % 600 == 5 else chance.choice(_STATES),
            str(moment),
            str(moment + timedelta(minutes=chance.randrange(1, 2000))),
        )


def _price_list(chance: random.Random, skus: list[str]) -> list[tuple[str, ...]]:
    names = [(name, category) for category, listed in _PRODUCTS.items() for name in listed]
    lines = [
        (sku, name, category, f"{chance.randrange(290, 6000) / 100:.2f}".replace(".", ","))
        for sku, (name, category) in zip(skus, names, strict=True)
    ]
    lines[4] = (*lines[4][:3], "")
    return [("SKU", "Product Name", "Category", "Price"), *lines, lines[1], lines[9]]
