"""Where a source is, without who connects to it: what a sealed plan remembers of a URL."""

from urllib.parse import parse_qsl, unquote

# Of a URL's query, what says where the database is; the rest may hold passwords.
_PLACE = ("host", "hostaddr", "port", "dbname", "service")


def place_of(url: str) -> str:
    """Return type, address and database of a source's URL, such as `postgresql://db:5432/shop`. No login."""
    scheme, _, rest = url.partition("://")
    # A password may hold a question mark, so the login goes first.
    authority, slash, database = rest.partition("/")
    place, _, query = f"{authority.rpartition('@')[2]}{slash}{database}".partition("?")
    more = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query)) if name in _PLACE)
    return f"{scheme}://{unquote(place.rpartition('@')[2])}{'?' if more else ''}{more}"
