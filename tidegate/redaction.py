"""Takes secrets out of text that is about to be shown: logins in URLs, and values of password-like keys."""

import re

_LOGIN = re.compile(r"(?<=://)[^\s'\"<>]*@")
_VALUE = re.compile(
    r"""(?P<key>\b\w*(password|passwd|secret|token|access_key)\w*['"]?\s*[=:]\s*)(?P<value>'[^']*'|"[^"]*"|[^\s,;&)}]+)""",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return the text with `***` for every login in a URL and every value that is named as a secret."""
    return _VALUE.sub(lambda found: f"{found['key']}***", _LOGIN.sub("***@", text))
