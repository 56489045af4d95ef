"""The page that needs a user, to which a login returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.requests import Request

#: Query parameter of a page: the attempt with which the user has just logged in for this page, or
#: ``OTHER`` to let the user choose another account.
MARKER = "login"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReturnTo:
    """The page that needs a user.

    Attributes:
        path: Its path below the issuer's URL.
        pairs: Its query, as names and values.
    """

    path: str
    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, request: Request, path: str) -> ReturnTo:
        """Return the page of a request, without the marker of an earlier login."""
        pairs = request.query_params.multi_items()
        return cls(path, tuple(each for each in pairs if each[0] != MARKER))

    def __str__(self) -> str:
        return f"{self.path}?{urlencode(self.pairs)}" if self.pairs else self.path


def marked(address: str, marker: str) -> str:
    """Return an address with a marker."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({MARKER: marker})}"
