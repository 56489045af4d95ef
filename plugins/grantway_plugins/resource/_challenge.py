"""Challenges of a protected resource (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470)."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Characters of ``error_description`` (RFC 6750 section 3), and those that a quotation escapes.
_INVALID = re.compile(r"[^\x20-\x7e]")
_ESCAPED = re.compile(r'(["\\])')


def challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """Return one challenge (RFC 9110 section 11.6.1).

    Args:
        scheme: The scheme, such as ``Bearer``.
        parameters: The parameters. Empty ones are omitted; characters that a header cannot contain
            become ``?``.
    """
    written = ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items() if value)
    return f"{scheme} {written}" if written else scheme


def _quoted(value: str) -> str:
    escaped = _ESCAPED.sub(r"\\\1", _INVALID.sub("?", value))
    return f'"{escaped}"'
