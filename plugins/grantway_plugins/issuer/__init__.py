"""The embedded issuer: the token service that answers the same grants from the other end.

It reads both dialects on one port, keeps only digests in SQLite, and asks a person on plain
pages. ``IssuerServer`` runs one inside a program, ``serve`` as a process.

A plugin decides its own grant on the issuer's side with ``GrantRequest``, ``Issue`` and ``Denial``.
Importing the package loads none of it: what a decision needs works without the extra ``issuer``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audit_event import AuditEvent
    from .decision import Denial, GrantRequest, Issue, IssuerGrant
    from .errors import (
        StoreBusyError,
        StoreCorruptError,
        StoreError,
        StoreForeignError,
        StoreFullError,
        StoreReadOnlyError,
        StoreUnreachableError,
    )
    from .server import IssuerServer, serve
    from .settings import IssuerSettings, Lifetimes
    from .transaction import Transaction

_HOME = {
    "AuditEvent": "audit_event",
    "Denial": "decision",
    "GrantRequest": "decision",
    "Issue": "decision",
    "IssuerGrant": "decision",
    "IssuerServer": "server",
    "IssuerSettings": "settings",
    "Lifetimes": "settings",
    "StoreBusyError": "errors",
    "StoreCorruptError": "errors",
    "StoreError": "errors",
    "StoreForeignError": "errors",
    "StoreFullError": "errors",
    "StoreReadOnlyError": "errors",
    "StoreUnreachableError": "errors",
    "Transaction": "transaction",
    "serve": "server",
}

__all__ = [
    "AuditEvent",
    "Denial",
    "GrantRequest",
    "Issue",
    "IssuerGrant",
    "IssuerServer",
    "IssuerSettings",
    "Lifetimes",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreForeignError",
    "StoreFullError",
    "StoreReadOnlyError",
    "StoreUnreachableError",
    "Transaction",
    "serve",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
