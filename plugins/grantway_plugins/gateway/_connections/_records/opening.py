"""Choose the records of connections by the gateway's store."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway_plugins._config.components import argument_rule
from grantway_plugins.gateway._connections.records import ConnectionRecords

_CONNECTING = ("url", "prefix", "timeout", "connections", "allow_insecure")
#: ``kind`` of the store -> module, class, and the store's options that apply to records as well.
_KINDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "memory": ("memory", "MemoryRecords", ()),
    "redis": ("redis", "RedisRecords", (*_CONNECTING, "on_disk", "replicas", "failover")),
    "sql": ("sql", "SqlRecords", _CONNECTING),
}


def open_records(store: Mapping[str, Any]) -> ConnectionRecords:
    """Return the records of connections in the database of the gateway's store.

    It does not connect yet. The records use the store's URL and the options of its connections, and
    their own tables or keys with the store's prefix.

    Args:
        store: ``[gateway] store``. If its ``kind`` is ``encrypted``, its ``inner`` store counts:
            the personal data in the records are encrypted separately.

    Raises:
        ConfigurationError: The kind of the store does not support records, or an option is invalid.
    """
    kind = store["kind"]
    inner = store.get("inner")
    if kind == "encrypted" and isinstance(inner, Mapping):
        return open_records(inner)
    if kind not in _KINDS:
        rule = (
            f"must be one of {', '.join(sorted(_KINDS))} if the file has [connections], because "
            f"gateways look up connections by user and time, which the store {kind!r} cannot"
        )
        raise ConfigurationError(f"kind: {rule}.", errors={"kind": [rule]})
    module, name, known = _KINDS[kind]
    options = Params({key: value for key, value in store.items() if key in known})
    try:
        loaded = import_module(f"{__package__}.{module}")
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"store {kind!r}: needs {missing.name}; install it with: pip install 'grantway[{kind}]'"
        ) from None
    try:
        records: ConnectionRecords = getattr(loaded, name)(**options)
    except TypeError as error:  # a required option is missing
        raise ConfigurationError(f"store {kind!r}: {argument_rule(error)}.") from None
    return records
