"""A user's browser without scripts, which follows redirects between sites."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests.waiting import PATIENCE

MOST_REDIRECTS = 20
_FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
_INPUT = re.compile(r"<input\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z_-]+)="([^"]*)"')
_LINK = re.compile(r'<a [^>]*href="([^"]+)"[^>]*>([^<]+)</a>')


def _attributes(tag: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(tag)}


@dataclass(frozen=True)
class Shown:
    """A page, or an address that was not requested because nothing listens there.

    Attributes:
        url: Its address.
        status: HTTP status; 0 if it was not requested.
        text: Its HTML.
        hops: Addresses of the redirects that led to it.
    """

    url: str
    status: int = 0
    text: str = ""
    hops: tuple[str, ...] = field(default=(), repr=False)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    @property
    def action(self) -> str:
        """Address of the first form."""
        return urljoin(self.url, _attributes(self._form[1]).get("action", ""))

    @property
    def fields(self) -> dict[str, str]:
        """Fields of the first form."""
        inputs = [_attributes(tag) for tag in _INPUT.findall(self._form[2])]
        return {each["name"]: each.get("value", "") for each in inputs if "name" in each}

    @property
    def _form(self) -> re.Match[str]:
        found = _FORM.search(self.text)
        assert found is not None, self.text
        return found

    @property
    def links(self) -> dict[str, str]:
        """Addresses of the links, by text."""
        return {text: urljoin(self.url, unescape(to)) for to, text in _LINK.findall(self.text)}


class Visitor:
    """A browser with cookies.

    Args:
        unlistened: Start of the addresses where nothing listens, such as a client's redirect URI.
    """

    def __init__(self, unlistened: str = "http://127.0.0.1:8400/") -> None:
        self.http = requests.Session()
        self.http.trust_env = False
        self._unlistened = unlistened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()

    def open(self, url: str, *, until: str = "") -> Shown:
        """Open an address and follow redirects.

        Args:
            url: The address.
            until: Stop before requesting an address that contains this text.
        """
        return self._follow("get", url, {}, until)

    def submit(self, page: Shown, *, until: str = "", **typed: str) -> Shown:
        """Submit the first form of a page, with what the user typed and pressed."""
        return self._follow("post", page.action, {**page.fields, **typed}, until)

    def _follow(self, method: str, url: str, data: dict[str, str], until: str) -> Shown:
        hops: list[str] = []
        for _ in range(MOST_REDIRECTS):
            response = self.http.request(
                method, url, data=data, timeout=PATIENCE, allow_redirects=False
            )
            if not response.is_redirect:
                return Shown(url, response.status_code, response.text, tuple(hops))
            url = urljoin(url, response.headers["location"])
            hops.append(url)
            if url.startswith(self._unlistened) or (until and until in url):
                return Shown(url, hops=tuple(hops))
            method, data = "get", {}
        raise AssertionError(f"more than {MOST_REDIRECTS} redirects: {hops}")
