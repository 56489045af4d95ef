"""``[server]``: where and how the server listens."""

from __future__ import annotations

from grantway_plugins._config.fields import Choice, Listen, StrictBoolean
from grantway_plugins.issuer._config.table import IssuerTable, Texts
from grantway_plugins.server._log_format import LOG_FORMATS


class ServerTable(IssuerTable):
    """``[server]``: where and how the server listens."""

    table = "server"
    part = "server"
    names = {"listen": ("host", "port")}  # noqa: RUF012

    listen = Listen()
    trusted_proxies = Texts("192.0.2.7")
    insecure_http = StrictBoolean()
    log_format = Choice(*LOG_FORMATS)
