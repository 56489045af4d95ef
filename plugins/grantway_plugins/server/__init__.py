"""HTTP/1.1 on a network: what the issuer and the gateway share to listen and to limit callers.

``Limits`` says how much callers may take. ``HttpProtocol`` makes uvicorn keep the body of a request
that offers another protocol. Importing the package loads neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .limits import Limits
    from .protocol import HttpProtocol

_HOME = {"HttpProtocol": "protocol", "Limits": "limits"}

__all__ = ["HttpProtocol", "Limits"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
