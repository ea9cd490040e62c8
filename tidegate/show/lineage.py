"""Prints where rows come from and go to: as trees, or as a flowchart in Mermaid."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from schemas.catalog import Node
from tasks.catalog.lineage import ColumnName, Edge, Lineage
from tidegate.show.printable import printable

Key = TypeVar("Key", str, ColumnName)
_SHAPES = {"source": ("[(", ")]"), "table": ("[", "]"), "publication": ("([", "])")}


def show_lineage(console: Console, lineage: Lineage, table: str, *, up: bool, down: bool) -> None:
    """Print what a table is made from, then what is made from it."""
    for wanted, heading, edges, none in (
        (up, "is made from", lineage.up, "nothing that the records tell of"),
        (down, "is used by", lineage.down, "nothing in this lake"),
    ):
        if not wanted:
            continue
        tree = Tree(Text.assemble((printable(table), "bold"), f" {heading}"))
        if edges.get(table):
            _grow(tree, table, edges, lambda node: _label(lineage.nodes[node]), {table})
        else:
            tree.add(Text(none, style="dim"))
        console.print(tree)


def show_columns(
    console: Console, lineage: Lineage, table: str, columns: Sequence[str], *, up: bool, down: bool
) -> None:
    """Print for each column of a table which columns it is made of, then which are made of it."""
    used: dict[ColumnName, list[ColumnName]] = {}
    for made, made_of in lineage.columns.items():
        for one in made_of:
            used.setdefault(one, []).append(made)
    directions: tuple[tuple[bool, str, Mapping[ColumnName, Sequence[ColumnName]], str], ...] = (
        (up, "are made from", lineage.columns, "not known"),
        (down, "are used by", used, "nothing that the records tell of"),
    )
    for wanted, heading, edges, none in directions:
        if not wanted:
            continue
        tree = Tree(Text.assemble("The columns of ", (printable(table), "bold"), f" {heading}"))
        for column in columns:
            branch = tree.add(Text(printable(column), style="bold"))
            if edges.get((table, column)):
                _grow(branch, (table, column), edges, lambda name: _column_label(lineage, name), {(table, column)})
            else:
                branch.add(Text(none, style="dim"))
        console.print(tree)


def mermaid(nodes: Sequence[Node], edges: Iterable[Edge], table: str) -> str:
    """Return a flowchart in Mermaid's language: sources as cylinders, tables as boxes, publications round."""
    ids = {node.id: f"n{place}" for place, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node in nodes:
        opening, closing = _SHAPES[node.kind]
        lines.append(f'    {ids[node.id]}{opening}"{_quoted(_label(node).plain)}"{closing}')
    lines += [f"    {ids[start]} --> {ids[end]}" for start, end in edges]
    lines.append(f"    style {ids[table]} stroke-width:3px")
    return "\n".join(lines)


def _grow(
    tree: Tree,
    node: Key,
    edges: Mapping[Key, Sequence[Key]],
    label: Callable[[Key], Text],
    shown: set[Key],
) -> None:
    """Add what a node leads to; what was shown before is named again, and not followed once more."""
    for other in edges.get(node, ()):
        if other in shown:
            again = Text(" (see above)", style="dim") if edges.get(other) else Text()
            tree.add(label(other) + again)
            continue
        shown.add(other)
        _grow(tree.add(label(other)), other, edges, label, shown)


def _label(node: Node) -> Text:
    style = {"source": "cyan", "table": "", "publication": "magenta"}[node.kind]
    return Text.assemble((printable(node.label), style), ("" if node.in_lake else " (not in the lake)", "dim"))


def _column_label(lineage: Lineage, name: ColumnName) -> Text:
    table, column = name
    where = lineage.nodes[table].label if table in lineage.nodes else table
    return Text.assemble(printable(column), (f"  {printable(where)}", "dim"))


def _quoted(text: str) -> str:
    """Return text as it may stand in quotes in Mermaid, whose escapes are HTML's with a number sign."""
    return "".join(f"#{ord(sign)};" if sign in '"#<>&`' else sign for sign in text)
