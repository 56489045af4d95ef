"""``[metrics]``: the listener for Prometheus metrics."""

from __future__ import annotations

from grantway_plugins._config.fields import Listen
from grantway_plugins.issuer._config.table import IssuerTable


class MetricsTable(IssuerTable):
    """``[metrics]``: the listener for Prometheus metrics."""

    table = "metrics"
    part = "server"
    names = {"listen": ("metrics_host", "metrics_port")}  # noqa: RUF012

    listen = Listen(required=True, error_messages={"required": "is required"})
