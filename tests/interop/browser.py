"""A minimal browser for links and plain forms, without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests

TIMEOUT = (5.0, 30.0)
MOST_REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a page: its action, method and default values."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Contents(HTMLParser):
    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self._url = url
        self._href: str | None = None
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self._url, given.get("action", ""))
            self.forms.append(Form(action, given.get("method", "get").lower()))
        elif tag == "input" and "name" in given and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "a" and "href" in given:
            self._href = urljoin(self._url, given["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._href = None

    def handle_data(self, data: str) -> None:
        if self._href and data.strip():
            self.links[data.strip()] = self._href


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site, or an empty page after a redirect to another site.

    Attributes:
        redirected_to: Target of a redirect to another site, which is not requested.
    """

    url: str
    text: str
    forms: list[Form]
    links: dict[str, str]
    redirected_to: str | None = None


class Browser:
    """Stores cookies and follows redirects within one site."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def open(self, url: str) -> Page:
        """Request an address."""
        return self._ask("get", url, {})

    def submit(self, form: Form, **typed: str) -> Page:
        """Submit a form with additional values, such as user input or the pressed button."""
        return self._ask(form.method, form.action, {**form.fields, **typed})

    def _ask(self, method: str, url: str, fields: Mapping[str, str]) -> Page:
        for _ in range(MOST_REDIRECTS):
            sent = {"params": fields} if method == "get" else {"data": fields}
            response = self._session.request(
                method, url, **sent, timeout=TIMEOUT, allow_redirects=False
            )
            if not response.is_redirect:
                break
            target = urljoin(url, response.headers["location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                return Page(url, "", [], {}, redirected_to=target)
            method, url, fields = "get", target, {}
        if not response.ok or response.is_redirect:
            raise AssertionError(f"{url} returned {response.status_code}:\n{response.text[:2000]}")
        contents = _Contents(url, response.text)
        return Page(url, response.text, contents.forms, contents.links)
