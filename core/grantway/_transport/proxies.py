"""Proxies: their addresses, the variables that name them, and the hosts without one."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from grantway._exceptions import ConfigurationError

#: Variables for proxies; the lower-case form takes precedence.
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SOCKS = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
_SCHEMES = _SOCKS | {"http", "https"}
PROXY_EXAMPLE = 'like "http://proxy.example.com:3128"'


@dataclass(slots=True, eq=False)
class ProxyChoice:
    """A proxy and the setting that selected it.

    Attributes:
        address: The proxy URL, which may contain a password.
        setting: The argument, key or variable.
        key: The key in ``ConfigurationError.errors``.
    """

    address: str
    setting: str
    key: str

    @property
    def shown(self) -> str:
        """The proxy URL without user and password."""
        parts = urlsplit(self.address)
        user = "***@" if "@" in parts.netloc else ""
        return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}"

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy."""
        return urlsplit(self.address).scheme in _SOCKS

    @property
    def login_line(self) -> str:
        """The header with the login of an HTTP proxy (RFC 9110 section 11.7.2); may be empty."""
        parts = urlsplit(self.address)
        if parts.username is None:
            return ""
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"

    def __repr__(self) -> str:
        return f"ProxyChoice({self.shown!r}, {self.setting!r})"


def proxies_from_environment(env: Mapping[str, str]) -> dict[str, ProxyChoice]:
    found = {}
    for variable in PROXY_VARIABLES:
        # In a CGI program, HTTP_PROXY comes from the ``Proxy`` header of the client.
        upper = () if variable == "HTTP_PROXY" and "REQUEST_METHOD" in env else (variable,)
        name = next((each for each in (variable.lower(), *upper) if env.get(each)), None)
        if name is not None:
            scheme = variable.removesuffix("_PROXY").lower()
            found[scheme] = parse_proxy(env[name], name, name)
    return found


def parse_proxy(address: Any, setting: str, key: str) -> ProxyChoice:
    """Return the checked proxy. Errors do not quote the URL, which may contain a password."""
    rule = f"must be a proxy's address, {PROXY_EXAMPLE}"
    if isinstance(address, str):
        whole = address.strip() if "://" in address else f"http://{address.strip()}"
        try:
            parts = urlsplit(whole)
            fits = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if fits:
            return ProxyChoice(whole, setting, key)
    raise ConfigurationError(f"{setting}: {rule}.", errors={key: [rule]})


def check_library(proxy: ProxyChoice) -> None:
    """Reject a SOCKS proxy if PySocks is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415 - only proxies need it

    if urlsplit(proxy.address).scheme in _SOCKS and find_spec("socks") is None:
        rule = f"{proxy.shown} needs PySocks; install it with: pip install PySocks"
        raise ConfigurationError(f"{proxy.setting}: {rule}.", errors={proxy.key: [rule]})


def is_direct(host: str, port: int | None, exempt: str) -> bool:
    """Return whether a host is exempt from proxies."""
    host = host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for each in exempt.replace(",", " ").lower().split():
        name, _, number = each.rpartition(":") if each.count(":") == 1 else (each, "", "")
        if number and number != str(port or ""):
            continue
        name = name.strip("[]").removeprefix("*.").strip(".")
        if each == "*" or host == name or (address is None and host.endswith(f".{name}") and name):
            return True
        if address is not None and "/" in name:
            try:
                if address in ipaddress.ip_network(name, strict=False):
                    return True
            except ValueError:
                continue
    return False
