"""The certificate of the listener for requests, from ``[gateway.tls]`` of the gateway's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.server._tls.certificate import ServerCertificate

_AT = ("gateway", "tls")


def make_certificate(config: ConfigFile, table: Mapping[str, Any]) -> ServerCertificate:
    """Return the certificate that a table names.

    Args:
        config: The file.
        table: Its table ``[gateway.tls]``.

    Raises:
        ConfigurationError: The files cannot be used; names the line of the key.
    """
    paths = {name: config.components.path(table[name]) for name in table}
    try:
        return ServerCertificate(**paths)
    except ConfigurationError as error:
        mistakes = [
            ((*_AT, name.removeprefix("tls_")), rule)
            for name, rules in error.errors.items()
            for rule in rules
        ]
    raise config.toml.wrong(mistakes)
