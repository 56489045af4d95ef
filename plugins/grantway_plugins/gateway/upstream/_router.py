"""Find the route of a request by its host and its longest matching path prefix."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._exceptions import ConfigurationError

from ._route import Route


class Router:
    """Routes by host and path.

    Routes for the request's host come before routes for any host, and longer paths before
    shorter ones. The number of lookups for a request depends on the number of path segments, not
    on the number of routes.

    Args:
        routes: The routes, in any order.

    Raises:
        ConfigurationError: Two routes have the same name, or the same host and path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        names: set[str] = set()
        hosts: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            if route.name in names:
                raise _invalid(f"two routes are named {route.name!r}; give each one its own name.")
            names.add(route.name)
            taken = hosts.setdefault(route.host, {}).setdefault(_key(route.path), route)
            if taken is not route:
                host = route.host or "any host"
                raise _invalid(
                    f"{taken.name!r} and {route.name!r} are both for {host} and {route.path}; "
                    "change the host or path of one of them."
                )
        self._hosts = {host: _Paths(routes) for host, routes in hosts.items()}
        self._any = self._hosts.pop("", None)

    def find(self, host: str, path: str) -> Route | None:
        """Return the route of a request, or None.

        Args:
            host: Host in its normal form.
            path: Path in its normal form.
        """
        own = self._hosts.get(host)
        found = None if own is None else own.find(path)
        return self._any.find(path) if found is None and self._any is not None else found


class _Paths:
    """The routes of one host, by path."""

    def __init__(self, routes: dict[str, Route]) -> None:
        self._routes = routes
        self._deepest = max(path.count("/") for path in routes)

    def find(self, path: str) -> Route | None:
        parts = path.split("/", self._deepest + 1)
        if len(parts) > self._deepest + 1:  # deeper than any route
            path = path[: -len(parts[-1]) - 1]
        while path:
            found = self._routes.get(path)
            if found is not None:
                return found
            path = path[: path.rfind("/")]
        return self._routes.get("")


def _key(path: str) -> str:
    return "" if path == "/" else path


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError(f"routes: {message}", errors={"routes": [message]})
