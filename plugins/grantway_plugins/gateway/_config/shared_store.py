"""Check that several processes can run the routes of a gateway's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from grantway._plugins.default_registry import default_registry
from grantway._types.grant import Replay
from grantway_plugins._config.partial_table import InvalidKeyError
from grantway_plugins._config.toml_file import Mistake

if TYPE_CHECKING:
    from .config_file import ConfigFile

_RULE = (
    "needs a store that the workers share, because the provider accepts a refresh token or an "
    'assertion once, and each worker would use it; set store in [gateway], such as {kind = "file"}'
)

_CONNECTIONS = (
    "needs a store that the workers share, because each would have its own connections; set store "
    'in [gateway], such as {kind = "redis"}'
)


def needs_shared_store(config: ConfigFile) -> Iterator[Mistake]:
    """Yield what cannot be used by processes that do not share a store.

    Args:
        config: The file.
    """
    grants = default_registry().grants
    with suppress(InvalidKeyError):
        if not _is_memory(config.gateway["store"]):
            return
        if config.connections is not None:
            yield ("connections",), _CONNECTIONS
        for name, table in config.routes.items():
            with suppress(InvalidKeyError):
                grant = grants.get(table["grant"])
                # An exchange uses the token of the request, and not the store.
                once = grant is not None and grant.replay is not Replay.SAFE
                if once and table["incoming"] != "exchange":
                    yield ("routes", name, "grant"), _RULE


def _is_memory(store: Any) -> bool:
    """Return whether a store, or the one that it encrypts, is in the memory of this process."""
    while isinstance(store, Mapping) and "inner" in store:
        store = store["inner"]
    kind: object = store["kind"] if isinstance(store, Mapping) else store
    return kind == "memory"
