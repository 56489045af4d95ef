"""The members of an error response: for programs to read, and never shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .redaction import MASK, forms_of

#: Deeper members are masked: no provider nests errors so far, and Python limits recursion.
_DEEPEST = 32


class Members(dict[str, Any]):
    """Names and values that a provider sent. Its representations show names only.

    A value may be a secret, such as Auth0's ``mfa_token``. Nested objects are masked as well. Do
    not log a value that you take out.
    """

    def __repr__(self) -> str:
        return f"Members({', '.join(map(str, self))})"

    __str__ = __repr__

    def __rich_repr__(self) -> Iterator[Any]:
        # rich shows the locals of a traceback by looking into every mapping.
        yield from self


def members_of(found: Mapping[str, Any], secrets: Iterable[str]) -> Members:
    """Copy the members of a decoded response, without the secrets that the request sent.

    A secret is cut out where it stands by itself, as in a message that repeats it. Inside a longer
    word it stays: that word is another value, which the program needs unchanged.

    Args:
        found: The decoded object.
        secrets: What was sent and must not come back.
    """
    forms = sorted({form for value in secrets for form in forms_of(value)}, key=len, reverse=True)
    words = "|".join(map(re.escape, forms))
    sent = re.compile(rf"(?<![\w.~-])(?:{words})(?![\w~-]|\.\w)") if words else None
    copied = _copy(found, sent, _DEEPEST)
    return copied if isinstance(copied, Members) else Members()


def _copy(value: Any, sent: re.Pattern[str] | None, depth: int) -> Any:
    if isinstance(value, str):
        return value if sent is None else sent.sub(MASK, value)
    if isinstance(value, (dict, list)) and depth == 0:
        return MASK
    if isinstance(value, dict):
        return Members(
            (_copy(name, sent, depth), _copy(each, sent, depth - 1)) for name, each in value.items()
        )
    if isinstance(value, list):
        return [_copy(each, sent, depth - 1) for each in value]
    return value
