"""Text from the data, made safe for a terminal."""


def printable(text: str) -> str:
    """Return text in which no line break and no control sequence from the data reaches the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
