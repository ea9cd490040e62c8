"""The five files that the shop's partners put into an SFTP folder: CSV, JSON, XML, XLSX and TXT."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

from tidegate.demo.shop.rows import Shop, costs, reviews, shipments, stock, suppliers


def write_files(shop: Shop, folder: Path) -> None:
    """Write the files into an existing folder."""
    day = f"{shop.today:%Y-%m-%d}"
    _shipments(shop, folder / f"shipments_{day}.csv")
    _reviews(shop, folder / "reviews.json")
    _suppliers(folder / "suppliers.xml")
    _costs(shop, folder / "costs.xlsx")
    _stock(shop, folder / f"stock_{day}.txt")


def _shipments(shop: Shop, path: Path) -> None:
    """As the carrier's old system writes it: semicolons, commas for decimals, and Latin-1."""
    with path.open("w", newline="", encoding="latin-1") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["shipment", "order_id", "carrier", "left_on", "came_on", "cost"])
        for *values, cost in shipments(shop):
            writer.writerow([*values, str(cost).replace(".", ",")])


def _reviews(shop: Shop, path: Path) -> None:
    found = reviews(shop)
    path.write_text(json.dumps({"exported": f"{shop.today:%Y-%m-%d}", "data": {"reviews": found}}))


def _suppliers(path: Path) -> None:
    root = ElementTree.Element("suppliers", xmlns="https://example.com/suppliers")
    for supplier in suppliers():
        element = ElementTree.SubElement(root, "supplier", id=supplier["id"])
        for name in ("name", "country", "lead_time_days"):
            ElementTree.SubElement(element, name).text = supplier[name]
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _costs(shop: Shop, path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Costs")
    sheet.append(["sku", "cost", "lot"])
    for sku, cost, lot in costs(shop):
        sheet.append([sku, float(cost), lot])
    book.save(path)


def _stock(shop: Shop, path: Path) -> None:
    path.write_text("".join(f"{sku:<8}{count:>6}{place:<4}\n" for sku, count, place in stock(shop)))
