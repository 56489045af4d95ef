"""Register the stores. Each is loaded, with the library it needs, on first use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._types.grant import Params
from grantway.hookspecs import hookimpl

if TYPE_CHECKING:
    from grantway._types.store import Store, StoreFactory

#: Name to package, class, and the extra that installs what the package imports.
_STORES = {
    "memory": ("memory", "MemoryStore", ""),
    "file": ("file", "FileStore", "file"),
    "keyring": ("keyring", "KeyRingStore", "keyring"),
    "redis": ("redis", "RedisStore", "redis"),
    "sql": ("sql", "SqlStore", "sql"),
    "encrypted": ("encrypted", "EncryptedStore", "encryption"),
}


def store_factory(name: str, module: str, kind: str, extra: str) -> StoreFactory:
    """Return a function that makes a store, and loads its module when it is called.

    Args:
        name: The name that the store is registered under, for errors.
        module: The module that holds the class.
        kind: The class.
        extra: The extra of grantway that installs what the module imports.
    """

    def make(**options: Any) -> Store:
        options = Params(options)  # tools that show the locals of a traceback then show no value
        try:
            home = import_module(module)
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
    """Return every store of this package."""
    return {
        name: store_factory(name, f"{__package__}.{folder}._store", kind, extra)
        for name, (folder, kind, extra) in _STORES.items()
    }
