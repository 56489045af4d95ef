"""Rules for the issuer's URL (RFC 8414 section 2)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError

#: Path segments that proxies and clients do not normalise.
_ISSUER_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")

#: Scheme and host of an issuer's URL, as browsers and clients send them.
_ISSUER_ORIGIN = re.compile(
    r"https?://([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/|\Z)"
)


def check_issuer(issuer: str) -> None:
    """Check the URL of an issuer.

    Raises:
        ConfigurationError: it is invalid; says which rule it violates.
    """
    example = "like https://login.example.com"
    try:
        parts = urlsplit(issuer)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        raise _invalid(f"must be a URL, {example}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_known:
        raise _invalid(f"must be an http or https URL, {example}")
    if set("?#@") & set(issuer):
        raise _invalid(f"must have no query, fragment or user, {example}")
    if not _ISSUER_ORIGIN.match(issuer) or not issuer.isprintable():
        raise _invalid(
            "must have a scheme in lower case and a host in ASCII without spaces (write an "
            f"international name as xn--...), {example}",
        )
    if not _ISSUER_PATH.fullmatch(parts.path):
        raise _invalid(
            "must have no path, or one without final slash, empty or dot segments, or escapes, "
            "like https://login.example.com/auth",
        )


def _invalid(rule: str) -> ConfigurationError:
    return ConfigurationError(f"issuer {rule}", errors={"issuer": [rule]})
