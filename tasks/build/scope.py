"""How much of a table there is to build: nothing, what was added to its source, or all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.ledger import Generation
from schemas.built import BuildMode, Built
from tasks.build.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Scope:
    """What a build has to do.

    Attributes:
        mode: What its generation is to the earlier ones.
        only: Manifests of the source that are read; None if all are.
        note: Why, where that is not plain.
    """

    mode: BuildMode
    only: frozenset[str] | None = None
    note: str = ""


def scope_of(prepared: Prepared, generations: Sequence[Generation], *, full: bool) -> Scope | None:
    """Return what there is to build, or None if the table is what the pipeline would make of its inputs.

    With mode `append` only what was added to the source is read. Where that cannot be told, because the definition has
    changed or something that was read is not part of the source any more, the table is built as a whole.

    Args:
        prepared: The pipeline, and its inputs as they are.
        generations: Of its table, oldest first.
        full: Whether to build it though nothing has changed; with mode append, as a whole.
    """
    built = generations[-1].manifest.built if generations else None
    same = built is not None and built.definition == prepared.definition
    if prepared.pipeline.mode == "append":
        return _added(prepared, built if same else None, had_one=bool(generations), full=full)
    if built is not None and same and not full and prepared.is_steady and built.inputs == inputs_of(prepared):
        return None
    return _merged(prepared, generations) if prepared.pipeline.mode == "merge" else Scope("replace")


def inputs_of(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """Return what the manifest keeps of the inputs."""
    return {dataset: found.manifests for dataset, found in prepared.inputs.items()}


def _merged(prepared: Prepared, generations: Sequence[Generation]) -> Scope:
    if not generations:
        return Scope("replace")
    newest, keys = generations[-1].manifest, prepared.pipeline.keys
    if newest.key not in ((), keys) or not set(keys) <= {column.name for column in newest.columns}:
        return Scope("replace", note="as a whole: its keys have changed")
    return Scope("merge")


def _added(prepared: Prepared, built: Built | None, *, had_one: bool, full: bool) -> Scope | None:
    source = prepared.pipeline.source
    assert source is not None
    if source.dataset not in prepared.inputs:  # of a dry run: it is still to be built
        return Scope("append")
    now = prepared.inputs[source.dataset].manifests
    if built is None or full:
        note = "as a whole: the pipeline is another one than when it was built" if had_one and not full else ""
        return Scope("replace", note=note)
    before = set(built.inputs.get(source.dataset, ()))
    if not before.issubset(now):
        return Scope("replace", note=f"as a whole: what was read of {source} is not all part of it any more")
    new = frozenset(now) - before
    return Scope("append", only=new) if new else None
