"""Whether an operator's predicate says the same of a row for as long as the row does not change."""

import re

# Texts and quoted names go first: what is in them is no call.
_QUOTED = re.compile(r"'(?:[^']|'')*'|(\"(?:[^\"]|\"\")*\")")
_CALL = re.compile(r"(?<![\w$.])([A-Za-z_][\w$]*)\s*\(")
_CALL_BY_OTHER_NAME = re.compile(r"\"\"\s*\(|\.\s*[A-Za-z_][\w$]*\s*\(")  # quoted, or of some schema
_MOMENTS = re.compile(
    r"\b(current_\w+|localtime|localtimestamp|session_user|user|now|today|yesterday|tomorrow)\b", re.IGNORECASE
)
_SUBQUERY = re.compile(r"\b(select|with|table|exists)\b", re.IGNORECASE)
# Words before a bracket that call nothing, and functions that look at nothing but their arguments.
_STEADY = frozenset({
    "abs", "all", "and", "any", "array", "between", "by", "case", "cast", "ceil", "ceiling", "char_length",
    "coalesce", "decimal", "distinct", "else", "floor", "from", "greatest", "ifnull", "ilike", "in", "is", "isnull",
    "least", "left", "length", "like", "lower", "ltrim", "mod", "not", "nullif", "numeric", "or", "position",
    "power", "right", "round", "rtrim", "similar", "sign", "substr", "substring", "then", "trim", "trunc", "upper",
    "varchar", "when", "char",
})  # fmt: skip


def is_steady(where: str | None) -> bool:
    """Return whether only a change of a row can bring it into scope; False if that cannot be told from the text.

    A predicate that calls `now()` or looks at other tables lets rows come into scope that nobody has written since:
    their versions say nothing of whether they were archived.
    """
    if where is None:
        return True
    text = _QUOTED.sub(lambda quoted: '""' if quoted[1] else "''", where)
    if any(pattern.search(text) for pattern in (_SUBQUERY, _MOMENTS, _CALL_BY_OTHER_NAME)):
        return False
    if re.search(r"--|/\*|\$", text) or any(moment in where.lower() for moment in ("'now'", "'today'", "'yesterday'")):
        return False
    return all(name.lower() in _STEADY for name in _CALL.findall(text))
