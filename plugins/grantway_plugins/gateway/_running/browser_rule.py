"""Protection against web pages that make a browser send requests to a local gateway.

Any page can send requests to ``127.0.0.1``, and can point its domain there to read the responses
(DNS rebinding). The gateway would add a token to each request. ``Host`` reveals DNS rebinding;
``Origin`` and ``Sec-Fetch-Site`` (Fetch Metadata) reveal requests from other sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from grantway._transport.http import is_loopback
from grantway_plugins.gateway._config.fields import ORIGIN
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._request_context import normal_host
from grantway_plugins.gateway.upstream._tenant import tenant_domain

_HOST = "The host name is not allowed; add it to hosts in [gateway] of the gateway's file"
_PAGE = (
    "Web pages of other sites must not use this gateway; add the page's origin to origins in "
    "[gateway] of its file"
)


#: ``Sec-Fetch-Site`` of programs, of typed addresses, and of the gateway's own pages.
_OWN_SITES = frozenset({"", "none", "same-origin"})


class BrowserRule:
    """Decides whether a request may come from a web page, by its host name and origin.

    Both checks are enabled if the gateway listens on a loopback address. Otherwise, each is enabled
    by ``hosts`` or ``origins`` in the file.

    Args:
        gateway: The table ``[gateway]`` of the file.
        routes: The tables ``[routes]`` of the file. Their host names are allowed.
        url: Public URL of the gateway's pages, or None. Its host name is allowed.
    """

    def __init__(
        self,
        gateway: Mapping[str, Any],
        routes: Mapping[str, Mapping[str, Any]],
        url: str | None = None,
    ) -> None:
        local = is_loopback(gateway["listen"][0])
        hosts, origins = set(gateway["hosts"]), frozenset(gateway["origins"])
        self._checks_host = (local or bool(hosts)) and "*" not in hosts
        self._checks_origin = (local or bool(origins)) and "*" not in origins
        self._local = local
        self._origins = origins
        named = {route["host"] for route in routes.values() if "host" in route}
        if url is not None:
            named.add(urlsplit(url).hostname or "")
        below = {tenant_domain(route["tenant"]) for route in routes.values()} - {""}
        below |= {host[1:] for host in hosts if host.startswith("*.")}
        self._hosts = frozenset(hosts | named)
        self._below = tuple(sorted(below))

    def check(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        origin: bool = True,
        websocket: bool = False,
    ) -> None:
        """Check one request.

        Args:
            headers: Its headers, lower-case names.
            origin: Whether to check which page sent it.
            websocket: Whether it is a WebSocket handshake. Browsers allow these to every page, and
                let it read what arrives, so the origin is checked on every address.

        Raises:
            RequestRejectedError: A web page must not send the request (403), or a header is
                repeated (400).
        """
        host, page, site = _origin_headers(headers)
        if self._checks_host and host and not self._is_own(normal_host(host)):
            raise RequestRejectedError(_HOST, status=403)
        checks_origin = self._checks_origin or (websocket and "*" not in self._origins)
        if origin and checks_origin and not self._is_allowed_page(page, site, host):
            raise RequestRejectedError(_PAGE, status=403)

    def check_forwarded_handshake(self, host: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check a WebSocket handshake that another proxy forwards.

        Callers may be on other machines, so a page of ``localhost`` is not allowed because the
        gateway listens there. Without ``Origin``, any host name is allowed: no page sent it.

        Args:
            host: ``Host`` of the handshake.
            headers: Its headers, lower-case names.

        Raises:
            RequestRejectedError: A web page must not send the handshake (403), or a header is
                repeated (400).
        """
        _, page, site = _origin_headers(headers)
        if page in self._origins or "*" in self._origins or (not page and site in _OWN_SITES):
            return
        origin = ORIGIN.fullmatch(page.lower())
        if origin is None or origin["place"] != host.lower():
            raise RequestRejectedError(_PAGE, status=403)
        if self._checks_host and not self._is_own(normal_host(host)):
            raise RequestRejectedError(_HOST, status=403)

    def _is_own(self, host: str) -> bool:
        return _is_local(host) or host in self._hosts or host.endswith(self._below)

    def _is_allowed_page(self, origin: str, site: str, host: str) -> bool:
        if origin:
            if origin in self._origins:
                return True
            page = ORIGIN.fullmatch(origin.lower())
            if page is None:
                return False
            place = page["place"]
            try:
                name = normal_host(place)
            except RequestRejectedError:
                return False
            return (self._local and _is_local(name)) or place == host.lower()
        # Browsers send no Origin with images, scripts, frames and links.
        if site == "same-site":  # another port of this machine, or a neighbouring host name
            return self._local and bool(host) and _is_local(normal_host(host))
        return site in _OWN_SITES


def _origin_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str, str]:
    """Return ``Host``, ``Origin`` and ``Sec-Fetch-Site``; empty if they are missing.

    Raises:
        RequestRejectedError: One of them is repeated.
    """
    host = page = site = ""
    hosts = pages = sites = 0
    for name, value in headers:
        if name == b"host":
            host, hosts = value.decode("latin-1"), hosts + 1
        elif name == b"origin":
            page, pages = value.decode("latin-1"), pages + 1
        elif name == b"sec-fetch-site":
            site, sites = value.decode("latin-1").strip(), sites + 1
    if max(hosts, pages, sites) > 1:
        raise RequestRejectedError(
            "The Host, Origin or Sec-Fetch-Site header is repeated; send it once"
        )
    return host, page, site


def _is_local(host: str) -> bool:
    return host.endswith(".localhost") or is_loopback(host.strip("[]"))
