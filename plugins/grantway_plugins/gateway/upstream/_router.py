"""Which route a request takes: by its host, and by the longest path that it lies under."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._exceptions import ConfigurationError

from ._route import Route


class Router:
    """Routes, none of which takes what another one does.

    A route of the request's host goes before those of any host, and a longer path before a
    shorter one. Finding one costs as many lookups as the longest route's path has segments, however
    many routes there are.

    Args:
        routes: In any order, for it does not count.

    Raises:
        ConfigurationError: two routes have one name, or are for one host and path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        names: set[str] = set()
        hosts: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            if route.name in names:
                raise _invalid(f"two routes are named {route.name!r}; metrics could not tell them.")
            names.add(route.name)
            taken = hosts.setdefault(route.host, {}).setdefault(_key(route.path), route)
            if taken is not route:
                host = route.host or "any host"
                raise _invalid(
                    f"{taken.name!r} and {route.name!r} are both for {host} and {route.path}; "
                    "let one of them go elsewhere."
                )
        self._hosts = {host: _Paths(routes) for host, routes in hosts.items()}
        self._any = self._hosts.pop("", None)

    def find(self, host: str, path: str) -> Route | None:
        """The route of a request, or None.

        Args:
            host: As ``facts.normal_host`` gives it.
            path: As ``paths.normal_path`` gives it.
        """
        own = self._hosts.get(host)
        found = None if own is None else own.find(path)
        return self._any.find(path) if found is None and self._any is not None else found


class _Paths:
    """The paths of one host."""

    def __init__(self, routes: dict[str, Route]) -> None:
        self._routes = routes
        self._deepest = max(path.count("/") for path in routes)

    def find(self, path: str) -> Route | None:
        parts = path.split("/", self._deepest + 1)
        if len(parts) > self._deepest + 1:  # no route is as deep as the rest
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
