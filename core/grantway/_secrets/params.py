"""The parameters of a request, whose values must not appear in tracebacks or logs."""

from __future__ import annotations

from typing import Any


class Params(dict[str, Any]):
    """Parameters of a request. The repr contains the names but not the values.

    Attributes:
        extra_secrets: Secret values of parameters that are not in the schema.
    """

    extra_secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Params({', '.join(self)})"

    __str__ = __repr__
