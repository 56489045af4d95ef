"""A web page's origin, as browsers send it (RFC 6454 section 6.2)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._~\[\]:-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_origin(field: str, origin: object) -> None:
    """Reject an origin that would never match, because no browser sends it.

    Args:
        field: Name of the setting, for the error.
        origin: An origin, or ``*`` for every origin.

    Raises:
        ConfigurationError: the origin is invalid.
    """
    if origin == "*":
        return
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        raise _invalid(
            field,
            "must be a scheme, host and port in lower case without a path or final slash, like "
            "https://app.example.com",
        )
    try:
        parts = urlsplit(origin)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host:
        raise _invalid(
            field, "must have a host and a valid port, like https://app.example.com:8443"
        )
    if port is not None and port == _DEFAULT_PORTS.get(scheme):
        raise _invalid(field, f"must not contain the default port {port}, which browsers omit")


def _invalid(field: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{field} {rule}", errors={field: [rule]})
