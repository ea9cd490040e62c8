"""The shop's rows: made up, the same on every machine and every run of a day, with mistakes as real shops have."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

CUSTOMERS, PRODUCTS, ORDERS, SUPPLIERS, DAYS = 500, 120, 4_000, 12, 120
COUNTRIES = ("ES", "DE", "FR", "IT", "PT")
CURRENCIES = {"EUR": Decimal("1"), "USD": Decimal("1.09"), "GBP": Decimal("0.84")}
STATUSES = ("paid", "paid", "paid", "shipped", "shipped", "returned", "cancelled")
_FIRST = (
    "Ana", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Greta", "Hugo", "Ines", "Jonas", "Karla", "Luis",
    "Marta", "Nuno", "Olga", "Pablo", "Rita", "Sven",
)  # fmt: skip
_LAST = (
    "Alonso", "Bauer", "Costa", "Duran", "Esposito", "Ferreira", "García", "Haas", "Iglesias", "Jiménez",
    "Klein", "López", "Moreau", "Núñez",
)  # fmt: skip
_THINGS = (
    "Lamp", "Chair", "Desk", "Shelf", "Kettle", "Toaster", "Backpack", "Jacket", "Scarf", "Boots", "Puzzle",
    "Globe", "Clock", "Radio",
)  # fmt: skip
_KINDS = (
    "Small", "Large", "Folding", "Classic", "Nordic", "Wireless", "Woollen", "Wooden",
)  # fmt: skip
_CATEGORIES = ("home", "office", "kitchen", "outdoor", "toys")
_HOLIDAYS = {
    "01-01": "New Year", "05-01": "Labour Day", "08-15": "Assumption", "11-01": "All Saints", "12-25": "Christmas",
}  # fmt: skip
_OPINIONS = (
    (5, "Exactly as described, and quick."), (4, "Good, but the box was damaged."), (3, "It does what it should."),
    (2, "Smaller than I thought."), (1, "Broke after a week; I want my money back."),
)  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """What is in the shop's database and in the files and answers of its partners, as lists of rows.

    Attributes:
        today: Midnight (UTC) of the day of the demo; what is there ends the day before.
    """

    today: datetime
    customers: list[tuple[Any, ...]]
    products: list[tuple[Any, ...]]
    orders: list[tuple[Any, ...]]
    items: list[tuple[Any, ...]]


def make_shop(now: datetime | None = None) -> Shop:
    """Return the shop's database as it is on the day of `now`."""
    today = datetime.combine((now or datetime.now(UTC)).date(), time())
    random = Random(7)  # the same shop every time
    begin = today - timedelta(days=DAYS)
    customers = [_customer(random, number, begin) for number in range(1, CUSTOMERS + 1)]
    products = [_product(random, number, begin) for number in range(1, PRODUCTS + 1)]
    orders, items = [], []
    for number in range(1, ORDERS + 1):
        order, lines = _order(random, number, begin + timedelta(days=DAYS * number / (ORDERS + 1)), products)
        orders.append(order)
        items += lines
    _plant_mistakes(customers, orders, items)
    return Shop(today, customers, products, orders, items)


def new_orders(shop: Shop, count: int = 25) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return orders, with their items, that come after all others."""
    random = Random(8)
    made = [
        _order(random, ORDERS + number, shop.today + timedelta(seconds=number), shop.products)
        for number in range(1, count + 1)
    ]
    return [order for order, _ in made], [line for _, lines in made for line in lines]


def _customer(random: Random, number: int, begin: datetime) -> tuple[Any, ...]:
    name = f"{random.choice(_FIRST)} {random.choice(_LAST)}"
    email = f"{name.split()[0].lower()}.{number}@example.com"
    created = begin - timedelta(days=random.randrange(700))
    return number, name, email, random.choice(COUNTRIES), created, created


def _product(random: Random, number: int, begin: datetime) -> tuple[Any, ...]:
    title = f"{random.choice(_KINDS)} {random.choice(_THINGS)}"
    price = Decimal(random.randrange(499, 29_999)) / 100
    supplier = random.randrange(1, SUPPLIERS + 1)
    return number, f"{number:05d}", title, random.choice(_CATEGORIES), price, supplier, begin


def _order(
    random: Random, number: int, at: datetime, products: list[tuple[Any, ...]]
) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    at = at.replace(microsecond=0)
    currency = random.choices(list(CURRENCIES), (8, 2, 1))[0]
    order = (number, random.randrange(1, CUSTOMERS + 1), at, random.choice(STATUSES), currency, at)
    lines = [
        (
            number,
            line,
            product[0],
            random.randrange(1, 4),
            (product[4] * CURRENCIES[currency]).quantize(Decimal("0.01")),
        )
        for line, product in enumerate(random.sample(products, random.randrange(1, 5)), start=1)
    ]
    return order, lines


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def _plant_mistakes(
    customers: list[tuple[Any, ...]], orders: list[tuple[Any, ...]], items: list[tuple[Any, ...]]
) -> None:
    for place in (17, 204, 391):  # addresses that are none
        number, name, _, *rest = customers[place]
        customers[place] = (number, name, f"{name.lower()} at example", *rest)
    for place in (88, 1_500, 1_501, 3_900):  # customers that do not exist
        number, _, *rest = orders[place]
        orders[place] = (number, 9_000 + place, *rest)
    for place in (250, 7_000):  # less than nothing was bought
        number, line, product, _, price = items[place]
        items[place] = (number, line, product, -2, price)


def shipments(shop: Shop) -> Iterator[tuple[Any, ...]]:
    """Yield what the carrier says: shipment, order, carrier, day it left, day it came, cost; two are impossible."""
    random = Random(9)
    for number, order in enumerate((o for o in shop.orders if o[3] in {"shipped", "returned"}), start=1):
        left = order[2].date() + timedelta(days=random.randrange(1, 4))
        came = left + timedelta(days=random.randrange(1, 8))
        if number in {40, 800}:
            came = left - timedelta(days=3)
        cost = Decimal(random.randrange(299, 1_999)) / 100
        yield f"S{number:06d}", order[0], random.choice(("Correos", "DHL", "Señor Paquete")), left, came, cost


def reviews(shop: Shop) -> list[dict[str, Any]]:
    """Return what customers wrote; two ratings are none."""
    random = Random(10)
    found = []
    for number in range(1, 301):
        rating, text = random.choice(_OPINIONS)
        order = random.choice(shop.orders)
        item = {"id": number, "product_id": random.randrange(1, PRODUCTS + 1), "rating": rating, "text": text}
        author = {"customer_id": order[1], "country": random.choice(COUNTRIES)}
        found.append({**item, "author": author, "written_on": (order[2] + timedelta(days=5)).date().isoformat()})
    found[33]["rating"], found[222]["rating"] = 11, 0
    return found


def suppliers() -> list[dict[str, str]]:
    """Return who delivers what is sold."""
    random = Random(11)
    return [_supplier(random, number) for number in range(1, SUPPLIERS + 1)]


def _supplier(random: Random, number: int) -> dict[str, str]:
    name = f"{random.choice(_LAST)} & {random.choice(_LAST)}"
    lead_time = str(random.randrange(2, 21))
    return {"id": str(number), "name": name, "country": random.choice(COUNTRIES), "lead_time_days": lead_time}


def costs(shop: Shop) -> list[tuple[str, Decimal, int]]:
    """Return what each product costs the shop, and how many are ordered at once, by its number."""
    random = Random(12)
    return [
        (product[1], _cents(product[4] * Decimal(random.randrange(40, 75)) / 100), random.choice((10, 25, 50)))
        for product in shop.products
    ]


def stock(shop: Shop) -> list[tuple[str, int, str]]:
    """Return how many of each product lie where; one count is impossible."""
    random = Random(13)
    counted = [(product[1], random.randrange(0, 90), random.choice(("MAD", "BCN"))) for product in shop.products]
    counted[5] = (counted[5][0], -4, counted[5][2])
    return counted


def rates(shop: Shop) -> list[dict[str, Any]]:
    """Return how much of a currency a euro was on each day."""
    random = Random(14)
    days = [shop.today.date() - timedelta(days=back) for back in range(DAYS + 1, -1, -1)]
    foreign = {currency: rate for currency, rate in CURRENCIES.items() if currency != "EUR"}
    return [
        {"day": day.isoformat(), "currency": currency, "rate": round(float(rate) * random.uniform(0.98, 1.02), 4)}
        for day in days
        for currency, rate in foreign.items()
    ]


def holidays(shop: Shop) -> list[dict[str, Any]]:
    """Return the public holidays of the countries in the time of the shop's orders."""
    years = {(shop.today - timedelta(days=back)).year for back in (0, DAYS)}
    names = {
        "01-01": "New Year",
        "05-01": "Labour Day",
        "08-15": "Assumption",
        "11-01": "All Saints",
        "12-25": "Christmas",
    }
    found = [
        (f"{year}-{day}", country, name)
        for year in sorted(years)
        for day, name in names.items()
        for country in COUNTRIES
    ]
    return [{"date": day, "country": country, "name": name} for day, country, name in found]
