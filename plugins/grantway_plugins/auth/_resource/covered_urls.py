"""The URLs whose requests get the token of a resource."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from grantway._wire.protected_resource import covers

#: A segment that leads to a path above; some servers also separate segments by backslashes, and
#: ignore text after a semicolon.
_DOTS = re.compile(r"(^|[/\\])\.\.?([/\\;]|$)")


@lru_cache(256)
def is_covered(url: str, base: str, identifier: str | None) -> bool:
    """Return whether a URL is below that of a resource, or below its identifier.

    Args:
        url: URL of a request.
        base: URL of the resource without its query.
        identifier: The resource identifier in the metadata, or None if it is unknown.
    """
    if _DOTS.search(unquote(urlsplit(url).path)):
        return False  # HTTP libraries or servers may resolve it to a path above
    return covers(base, url) or (identifier is not None and covers(identifier, url))
