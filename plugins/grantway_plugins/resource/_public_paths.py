"""Paths of an application for which no token is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grantway._exceptions import ConfigurationError

_PATH = re.compile(r"/(?:[^*]*/\*|[^*]*)")
#: Empty and dot segments, which some applications remove, and the slash of other systems.
_AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|$)|\\")


class PublicPaths:
    """Paths for which no token is needed.

    Args:
        paths: The paths. One that ends with ``/*`` includes all paths below it.

    Raises:
        ConfigurationError: A path is invalid.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        given = (paths,) if isinstance(paths, str) else tuple(paths)
        if not all(_PATH.fullmatch(each) for each in given):
            rule = 'must contain paths like "/health" or "/static/*"'
            raise ConfigurationError(f"public: {rule}.", errors={"public": [rule]})
        self._exact = frozenset(each for each in given if not each.endswith("/*"))
        self._below = tuple(each[:-1] for each in given if each.endswith("/*"))

    def include(self, path: str) -> bool:
        """Return whether a request with this decoded path needs no token."""
        if path in self._exact:
            return True
        return bool(self._below) and path.startswith(self._below) and not _AMBIGUOUS.search(path)
