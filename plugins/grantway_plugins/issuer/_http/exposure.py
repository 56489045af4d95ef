"""Checks of the settings of an issuer that is reachable from other machines."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway_plugins.issuer._settings import IssuerSettings

_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - to reject them


def exposure(host: str, settings: IssuerSettings, trusted_proxies: Sequence[str]) -> str | None:
    """Return why the issuer is reachable from other machines, or None if it is not.

    Args:
        host: Address to listen on.
        settings: Settings of the issuer.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-*`` headers are trusted.
    """
    if not is_loopback(host):
        return f"host {host} is reachable from other machines"
    if _is_public(settings.issuer):
        return f"issuer {settings.issuer} is a public name"
    if trusted_proxies:
        return "trusted_proxies makes the issuer reachable from other machines"
    return None


def resolve_settings(
    host: str,
    settings: IssuerSettings,
    trusted_proxies: Sequence[str] = (),
    *,
    insecure_http: bool = False,
    tls: bool = False,
) -> IssuerSettings:
    """Return the settings with the defaults that depend on where the issuer is reachable from.

    Args:
        host: Address to listen on.
        settings: Settings of the issuer.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-*`` headers are trusted.
        insecure_http: Whether other machines may connect without TLS.
        tls: Whether the server has a certificate.

    Raises:
        ConfigurationError: the settings contradict each other, or are unsafe for an issuer that is
            reachable from other machines.
    """
    _check_proxies(trusted_proxies)
    if tls and settings.issuer is not None and not settings.issuer.startswith("https:"):
        rule = "must be an https URL, because the server uses TLS"
        raise ConfigurationError(f"issuer {rule}", errors={"issuer": [rule]})
    if settings.client_certificates is not None and not _is_limited(trusted_proxies):
        rule = "require trusted_proxies without *, because any client could send the header"
        raise ConfigurationError(
            f"client_certificates {rule}", errors={"client_certificates": [rule]}
        )
    why = exposure(host, settings, trusted_proxies)
    if why is not None and settings.approve == "auto":
        raise ConfigurationError(
            f"approve=auto gives a token to every client, and {why}; listen on 127.0.0.1 without "
            "a public issuer URL and trusted proxies, or use approve=page",
            errors={"approve": ["must be page on an issuer that other machines can reach"]},
        )
    if not insecure_http and _is_public(settings.issuer) and settings.issuer.startswith("http:"):
        rule = (
            "must be an https URL, because clients reject http to other machines; for tests, "
            "set insecure_http"
        )
        raise ConfigurationError(f"issuer {rule}", errors={"issuer": [rule]})
    if not is_loopback(host):
        _check_address(host, settings, encrypted=insecure_http or tls)
    if why is None:
        return replace(settings, registration=settings.registration or "open")
    if settings.registration is None:
        raise ConfigurationError(
            f"{why}, so choose which clients may register: off (only you add clients, with "
            "`grantway clients add`), token (holders of an initial access token) or open (anyone, "
            "for the grants and scopes that you allow)",
            errors={
                "registration": [
                    "must be off, token or open on an issuer that other machines can reach"
                ]
            },
        )
    if settings.registration == "unrestricted":
        raise ConfigurationError(
            f"registration=unrestricted lets anyone register any client, and {why}; "
            "use registration=off, token or open",
            errors={
                "registration": [
                    "must be off, token or open on an issuer that other machines can reach"
                ]
            },
        )
    if settings.registration_scopes is None:
        return replace(settings, registration_scopes=settings.default_scopes)
    return settings


def _is_public(issuer: str | None) -> TypeGuard[str]:
    """Return whether an issuer's URL leads to other machines."""
    name = urlsplit(issuer or "").hostname or "localhost"
    return not is_loopback(name) and not name.endswith(".localhost")


def _check_proxies(proxies: Sequence[str]) -> None:
    """Reject invalid proxy addresses, whose headers would be ignored silently."""
    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            if each != "*":
                raise ConfigurationError(
                    f"trusted_proxies: {each!r} is not an address or network; use one like "
                    "192.0.2.7 or 192.0.2.0/24, not a name",
                    errors={"trusted_proxies": ["must be addresses or networks"]},
                ) from None


def _is_limited(proxies: Sequence[str]) -> bool:
    """Return whether there are trusted proxies, and not every address is one."""
    every = any(each == "*" or not ipaddress.ip_network(each).prefixlen for each in proxies)
    return bool(proxies) and not every


def _check_address(host: str, settings: IssuerSettings, *, encrypted: bool) -> None:
    if not encrypted:
        raise ConfigurationError(
            f"host {host} is reachable from other machines, and this server has no TLS; set "
            "tls_certificate and tls_key, listen on 127.0.0.1, or put a proxy with TLS in front "
            "and set insecure_http",
            errors={"host": ["must be 127.0.0.1 without TLS"]},
        )
    if settings.issuer is None and host in _EVERY_ADDRESS:
        rule = "must be the URL that clients use, like https://login.example.com"
        raise ConfigurationError(
            f"host {host} stands for every address and cannot be the issuer's name: issuer {rule}",
            errors={"issuer": [rule]},
        )
