"""The members of error responses, which programs may read but logs must not contain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .redaction import MASK, forms_of

#: Maximum depth. Deeper members are masked, because Python limits recursion.
_DEEPEST = 32


class Members(dict[str, Any]):
    """Names and values that a provider sent. Its representations show names only.

    A value may be a secret, such as Auth0's ``mfa_token``. Representations of nested objects show
    names only, too. Do not log the values.
    """

    def __repr__(self) -> str:
        return f"Members({', '.join(map(str, self))})"

    __str__ = __repr__

    def __rich_repr__(self) -> Iterator[Any]:
        # rich prints local variables of tracebacks, including the items of mappings.
        yield from self


def members_of(found: Mapping[str, Any], secrets: Iterable[str]) -> Members:
    """Return a copy of the members of a response, with the secrets of the request masked.

    A secret is masked only as a whole word, for example in a message that repeats it. Longer words
    that contain it are other values, which the program needs unchanged.

    Args:
        found: The decoded object.
        secrets: The secrets that were sent.
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
