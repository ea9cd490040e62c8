"""A dbt project as its manifest tells of it: which models are tables of the lake, and what each is made of."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.config_problems import config_error
from schemas.pipelines.dbt import PREFIX
from schemas.pipelines.place import LAYERS, TablePlace
from schemas.project import Project
from tasks.build.dbt_installed import LABEL

STORED = tuple(layer for layer in LAYERS if layer != "raw")
# To be raised when the same project comes to mean other rows.
DBT_VERSION = 1
_KEY = "tidegate"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that is a table of the lake.

    Attributes:
        id: Its name in dbt's manifest.
        name: What reports call it.
        file: Its file, from the dbt project's folder on.
        place: The table.
        relation: Its name in the database.
    """

    id: str
    name: str
    file: str
    place: TablePlace
    relation: str

    @property
    def dataset(self) -> str:
        """Where its table lies in the lake."""
        return self.place.dataset


@dataclass(frozen=True)
class Graph:
    """The nodes of a dbt project.

    Attributes:
        manifest: dbt's manifest, after its SQL was made.
        folder: The dbt project's folder.
    """

    manifest: Mapping[str, Any]
    folder: Path

    @cached_property
    def nodes(self) -> dict[str, Mapping[str, Any]]:
        """All that is built, read or tested, by its id."""
        kinds = ("nodes", "sources", "unit_tests")
        return {name: node for kind in kinds for name, node in self.manifest.get(kind, {}).items()}

    @cached_property
    def tests(self) -> dict[str, Mapping[str, Any]]:
        """All tests by their ids."""
        return {name: node for name, node in self.nodes.items() if node["resource_type"] in ("test", "unit_test")}

    @cached_property
    def models(self) -> dict[str, StoredModel]:
        """The models that are tables of the lake, by their ids."""
        found, problems = {}, []
        for name, node in self.nodes.items():
            if _is_stored(node):
                try:
                    found[name] = _stored(node)
                except (ValidationError, ValueError) as error:
                    problems.append(_problem(node, error))
        if problems:
            raise config_error(f"{LABEL}: models do not say which table they are", problems, next_step=_NEXT)
        return found

    def check(self, project: Project) -> None:
        """Refuse what cannot be built.

        Raises:
            ConfigError: Nothing is to be stored, a table is built twice, or there are snapshots. It names the files.
        """
        problems = [
            f"{node['original_file_path']}: {node['name']} is a snapshot, which needs a database that stays; read the "
            "history of rows from the raw layer instead, or disable it (+enabled: false)"
            for node in self.nodes.values()
            if node["resource_type"] == "snapshot"
        ]
        taken = {pipeline.dataset.casefold(): f"pipelines[{pipeline.name}]" for pipeline in project.pipelines}
        for model in self.models.values():
            other = taken.setdefault(model.dataset.casefold(), model.file)
            if other != model.file:
                problems.append(f"{model.file}: {model.place} is built by {other} as well; each needs its own table")
        if not self.models:
            problems.append(f"no model of {self.folder} says +schema: staging, or +schema: consume")
        if problems:
            raise config_error(f"{LABEL}: the dbt project cannot be built", problems, next_step=_NEXT)

    def parents(self, name: str) -> list[str]:
        """Return what a node is made of, or tests, directly."""
        depends_on = self.nodes[name].get("depends_on") or {}
        return [other for other in depends_on.get("nodes", ()) if other in self.nodes]

    def tests_of(self, name: str) -> list[str]:
        """Return the tests that judge a node: those that stand in its entry, and those of their own that read it."""
        return [test for test, node in self.tests.items() if name in self.judged(node)]

    def judged(self, test: Mapping[str, Any]) -> list[str]:
        """Return the nodes that a test judges."""
        attached = test.get("attached_node") or (test["depends_on"]["nodes"][:1] if "given" in test else None)
        if attached:
            return [attached] if isinstance(attached, str) else list(attached)
        read = list(test["depends_on"]["nodes"])
        # One that stands in the entry of a source judges that, and none of the models that it compares it with.
        return [one for one in read if one in self.manifest["sources"]] if test.get("test_metadata") else read

    def own(self, name: str) -> list[str]:
        """Return a model and what it is made of that is no table of the lake: views in between, seeds, sources."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = None
                waiting += [other for other in self.parents(one) if other not in self.models]
        return list(found)

    def stored_parents(self, name: str) -> set[str]:
        """Return the tables of the lake that a model is made of, as far as dbt builds them."""
        return {other for one in self.own(name) for other in self.parents(one) if other in self.models}

    def to_run(self, changed: Collection[str]) -> set[str]:
        """Return what has to run so that these models can be built, and all tests that tell of them."""
        found: set[str] = set()
        waiting = list(changed)
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            waiting += self.parents(one)
            # A test is run with each of the nodes that it reads: then it needs the others, too.
            waiting += [
                parent
                for node in self.tests.values()
                if one in node["depends_on"]["nodes"]
                for parent in node["depends_on"]["nodes"]
                if parent in self.nodes
            ]
        return found

    def selector(self, name: str) -> str:
        """Return what selects a node on dbt's command line."""
        node = self.nodes[name]
        return ("source:" if node["resource_type"] == "source" else "fqn:") + ".".join(node["fqn"])

    def definition(self, name: str) -> str:
        """Return the SHA-256 of all that decides what a model makes of the same tables, and whether it is stored."""
        told: dict[str, object] = {"version": DBT_VERSION}
        for one in sorted(self.own(name)):
            told[one] = self._told(one)
            told.update((test, self._told(test)) for test in self.tests_of(one))
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()

    def code(self, name: str) -> str | None:
        """Return a node's SQL, or its Python; None if dbt could not make it yet."""
        found = self.nodes[name].get("compiled_code")
        return str(found).strip() if found else None

    def _told(self, name: str) -> object:
        node = self.nodes[name]
        code = self.code(name) or node.get("raw_code")
        told = {key: node.get(key) for key in ("config", "checksum", "given", "expect", "overrides", "columns")}
        # Of a large file dbt's checksum is its path.
        seed = self.folder / node["original_file_path"]
        content = hashlib.sha256(seed.read_bytes()).hexdigest() if _is_seed(node) and seed.is_file() else None
        return {**told, "code": code, "content": content}


_NEXT = "Correct what is named above, then run the same command again."


def _is_seed(node: Mapping[str, Any]) -> bool:
    return bool(node["resource_type"] == "seed")


def _is_stored(node: Mapping[str, Any]) -> bool:
    config = node.get("config") or {}
    return (
        node["resource_type"] == "model"
        and config.get("schema") in STORED
        and config.get("materialized") != "ephemeral"
        and bool(node.get("relation_name"))
    )


def _stored(node: Mapping[str, Any]) -> StoredModel:
    return StoredModel(
        id=str(node["unique_id"]),
        name=PREFIX + str(node["name"]),
        file=str(node["original_file_path"]),
        place=_place(node),
        relation=str(node["relation_name"]),
    )


def _place(node: Mapping[str, Any]) -> TablePlace:
    config = node["config"]
    meta = (config.get("meta") or {}).get(_KEY)
    if meta is None:
        domain, _, table = str(node["name"]).partition("_")
        meta = {"domain": domain, "table": table}
        if not domain or not table:
            raise ValueError("has a name of one word; say meta: {tidegate: {domain: …, table: …}} in its config")
    if not isinstance(meta, dict) or "layer" in meta:
        raise ValueError("must have meta: {tidegate: {domain: …, table: …}}")
    return TablePlace.model_validate({"layer": config["schema"], **meta})


def _problem(node: Mapping[str, Any], error: ValueError) -> str:
    said = [str(error)]
    if isinstance(error, ValidationError):
        said = [
            f"its {'.'.join(map(str, one['loc'])) or 'place'} {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False)
        ]
    hint = "" if (node["config"].get("meta") or {}).get(_KEY) else " (as its name has it)"
    return f"{node['original_file_path']}: {node['name']} {'; '.join(said)}{hint}"


def paths_to(edges: Mapping[str, Collection[str]], start: str) -> Iterator[str]:
    """Yield all that can be reached from a node."""
    seen, waiting = set[str](), [start]
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
                yield other
