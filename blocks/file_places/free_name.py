"""Names under which a file can be put into a folder where its own name is taken."""

from collections.abc import Iterator

from blocks.file_places.place import PlacedFile

_MOST = 1000


def names_for(file: PlacedFile) -> Iterator[str]:
    """Yield paths for a file that moves: its own, then with the moment at which it was written, then numbered.

    All endings stay where they are: `day/orders.csv.gz` becomes `day/orders-20260131T040000Z.csv.gz`.
    """
    yield file.path
    folder, slash, name = file.path.rpartition("/")
    stem, dot, endings = name.partition(".")
    moment = f"{file.modified_at:%Y%m%dT%H%M%SZ}"
    for number in range(1, _MOST):
        counted = moment if number == 1 else f"{moment}-{number}"
        yield f"{folder}{slash}{stem}-{counted}{dot}{endings}"
