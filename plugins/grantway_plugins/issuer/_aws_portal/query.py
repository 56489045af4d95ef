"""Query parameters and pagination of the portal."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from .responses import PortalError

#: Maximum and default number of items on a page.
_MAX_ITEMS = 100
_DEFAULT_ITEMS = 20


class Query:
    """The query parameters of one request.

    Args:
        raw: The query string.

    Raises:
        PortalError: the query is malformed, or a parameter is duplicated.
    """

    def __init__(self, raw: bytes) -> None:
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
        except ValueError:
            raise PortalError("InvalidRequestException", "The query string is malformed") from None
        self._values = dict(pairs)
        if len(self._values) != len(pairs):
            raise PortalError("InvalidRequestException", "A query parameter is duplicated")

    def required(self, name: str) -> str:
        """Return a parameter.

        Raises:
            PortalError: the parameter is missing or empty.
        """
        value = self._values.get(name)
        if not value:
            raise PortalError("InvalidRequestException", f"{name} is required")
        return value

    def page(self, items: Sequence[dict[str, Any]], name: str, about: str) -> dict[str, Any]:
        """Return one page of a list, with ``nextToken`` if there is another.

        Args:
            items: The whole list.
            name: Name of the list in the response.
            about: Identifies the list; a ``next_token`` is valid only for the same list.

        Raises:
            PortalError: ``max_result`` or ``next_token`` is invalid.
        """
        start = self._start(about)
        end = start + self._size()
        page: dict[str, Any] = {name: list(items[start:end])}
        if end < len(items):
            page["nextToken"] = base64.urlsafe_b64encode(f"{about} {end}".encode()).decode()
        return page

    def _size(self) -> int:
        given = self._values.get("max_result") or str(_DEFAULT_ITEMS)
        if not (given.isascii() and given.isdigit()) or not 1 <= int(given[:9]) <= _MAX_ITEMS:
            raise PortalError(
                "InvalidRequestException",
                f"max_result must be a whole number from 1 to {_MAX_ITEMS}",
            )
        return int(given[:9])

    def _start(self, about: str) -> int:
        token = self._values.get("next_token")
        if not token:
            return 0
        try:
            of, _, start = base64.urlsafe_b64decode(token.encode()).decode().rpartition(" ")
        except (binascii.Error, ValueError):
            of = start = ""
        if of != about or not (start.isascii() and start.isdigit()):
            raise PortalError("InvalidRequestException", "next_token does not belong to this list")
        return int(start[:9])
