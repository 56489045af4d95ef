"""Brings the stores; each is loaded, with the library it needs, when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._types.grant import Params
from grantway.hookspecs import hookimpl

if TYPE_CHECKING:
    from grantway._types.store import Store, StoreFactory

#: Name -> module, class, and the extra that brings what the module imports.
_STORES = {
    "memory": ("memory", "MemoryStore", ""),
    "file": ("file", "FileStore", "file"),
    "aws-cli": ("aws_cli", "AwsCliStore", "file"),
    "keyring": ("key_ring", "KeyRingStore", "keyring"),
    "redis": ("redis", "RedisStore", "redis"),
    "sql": ("sql", "SqlStore", "sql"),
    "encrypted": ("encrypted", "EncryptedStore", "encryption"),
}


def _factory(name: str, module: str, kind: str, extra: str) -> StoreFactory:
    def make(**options: Any) -> Store:
        options = Params(options)  # tools that show the locals of a traceback then show no value
        try:
            home = import_module(f"{__package__}.{module}")
        except ModuleNotFoundError as missing:
            raise ConfigurationError(
                f"store {name!r}: needs {missing.name}; install it with: "
                f"pip install 'grantway[{extra}]'"
            ) from None
        store: Store = getattr(home, kind)(**options)
        return store

    make.__name__ = make.__qualname__ = kind
    return make


@hookimpl
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Bring every store of this package."""
    return {name: _factory(name, *home) for name, home in _STORES.items()}
