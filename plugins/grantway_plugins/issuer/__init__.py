"""The embedded issuer: the token service that answers the same grants from the other end.

It reads both dialects on one port, keeps only digests in SQLite, and asks a person on plain
pages. ``IssuerServer`` runs one inside a program, ``serve`` as a process.
"""

from .errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreForeignError,
    StoreReadOnlyError,
)
from .server import IssuerServer, serve
from .settings import IssuerSettings, Lifetimes

__all__ = [
    "IssuerServer",
    "IssuerSettings",
    "Lifetimes",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreForeignError",
    "StoreReadOnlyError",
    "serve",
]
