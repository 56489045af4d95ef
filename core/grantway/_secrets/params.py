"""A request's parameters, whose values must not show in a traceback or a log."""

from __future__ import annotations

from typing import Any


class Params(dict[str, Any]):
    """Parameters on their way. The repr shows names and never a value.

    Attributes:
        extra_secrets: Secret values of parameters that no schema knows.
    """

    extra_secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Params({', '.join(self)})"

    __str__ = __repr__
