"""pytest fixtures for the authors of plugins, which installing grantway brings.

``plugin`` is what pytest loads when it starts, so it loads nothing itself: a suite that uses no
fixture of it pays for no import. What needs no plugin of grantway's own is in ``grantway.testing``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .live_issuer import LiveIssuer

__all__ = ["LiveIssuer"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name != "LiveIssuer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .live_issuer import LiveIssuer  # noqa: PLC0415 - it loads a server

    return LiveIssuer


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
