"""Registration of the stores. Each store's module is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway.hookspecs import hookimpl

if TYPE_CHECKING:
    from grantway._types.store import Store, StoreFactory

#: Registered name -> package, class, and the extra that installs the package's dependencies.
_STORES = {
    "memory": ("memory", "MemoryStore", ""),
    "file": ("file", "FileStore", "file"),
    "keyring": ("keyring", "KeyRingStore", "keyring"),
    "redis": ("redis", "RedisStore", "redis"),
    "sql": ("sql", "SqlStore", "sql"),
    "encrypted": ("encrypted", "EncryptedStore", "encryption"),
}


def store_factory(name: str, module: str, kind: str, extra: str) -> StoreFactory:
    """Return a function that imports a store's module and creates the store.

    Args:
        name: Registered name of the store, for errors.
        module: Module that defines the class.
        kind: Name of the class.
        extra: The extra of grantway that installs the module's dependencies.
    """

    def make(**options: Any) -> Store:
        options = Params(options)  # hide the values from tools that print a traceback's locals
        try:
            loaded = import_module(module)
        except ModuleNotFoundError as missing:
            raise ConfigurationError(
                f"store {name!r}: needs {missing.name}; install it with: "
                f"pip install 'grantway[{extra}]'"
            ) from None
        store: Store = getattr(loaded, kind)(**options)
        return store

    make.__name__ = make.__qualname__ = kind
    return make


@hookimpl
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Return the factories of this package's stores by name."""
    return {
        name: store_factory(name, f"{__package__}.{folder}._store", kind, extra)
        for name, (folder, kind, extra) in _STORES.items()
    }
