"""A person at the issuer's pages, for demos and tests: reads the page, presses the button."""

from __future__ import annotations

from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import requests

from grantway._exceptions import FlowError
from grantway._processes.copies import OneProcess

#: Seconds to wait for a page.
TIMEOUT = 10


class BrowserDriver(OneProcess):
    """Somebody with a browser: cookies, the forms as they are, and a choice of button.

    ::

        with BrowserDriver() as person:
            person.approve_device(started["verificationUriComplete"])
    """

    def __init__(self) -> None:
        self._browser = requests.Session()
        # A proxy or .netrc of this machine has no business between a person and loopback.
        self._browser.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the browser's connections."""
        self._browser.close()

    def approve_device(self, verification_uri: str, user_code: str | None = None) -> None:
        """Let a device in.

        Args:
            verification_uri: Where the device sends people; with its code in it, or without.
            user_code: The code to type, where the address does not carry it.

        Raises:
            FlowError: the page did not take it; the message is what the page says.
        """
        self._press(self._at_device(verification_uri, user_code), "approve")

    def deny_device(self, verification_uri: str, user_code: str | None = None) -> None:
        """Keep a device out; arguments and errors as in ``approve_device``."""
        self._press(self._at_device(verification_uri, user_code), "deny")

    def approve_authorization(self, url: str) -> str:
        """Let a client in that sent the browser to the authorization endpoint.

        Args:
            url: The authorization request.

        Returns:
            Where the browser is sent, with ``code`` in it. It is not followed.

        Raises:
            FlowError: the page did not take it; the message is what the page says.
        """
        return self._at_authorization(url, "approve")

    def visit(self, url: str) -> str:
        """Go where a redirect leads.

        Returns:
            The words of the page.

        Raises:
            FlowError: the page is an error page; the message is what it says.
        """
        return self._read(self._browser.get(url, timeout=TIMEOUT)).text

    def deny_authorization(self, url: str) -> str:
        """Keep a client out; as ``approve_authorization``, with ``error`` in the redirect."""
        return self._at_authorization(url, "deny")

    def _at_device(self, uri: str, user_code: str | None) -> _Page:
        page = self._read(self._browser.get(uri, timeout=TIMEOUT))
        if user_code is not None and "decision" not in page.buttons:
            page = self._send(page, {"user_code": user_code})
        return page

    def _at_authorization(self, url: str, decision: str) -> str:
        answer = self._browser.get(url, timeout=TIMEOUT, allow_redirects=False)
        if not answer.is_redirect:
            page = self._read(answer)
            answer = self._browser.post(
                page.action,
                data={**page.fields, "decision": decision},
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        location = answer.headers.get("location")
        if location is None:
            raise FlowError(self._read(answer).text)
        return location

    def _press(self, page: _Page, decision: str) -> None:
        if "decision" not in page.buttons:
            raise FlowError(page.text)
        self._send(page, {"decision": decision})

    def _send(self, page: _Page, typed: dict[str, str]) -> _Page:
        return self._read(
            self._browser.post(page.action, data={**page.fields, **typed}, timeout=TIMEOUT)
        )

    @staticmethod
    def _read(answer: requests.Response) -> _Page:
        page = _Page(answer.url)
        page.feed(answer.text)
        page.close()
        if not answer.ok:
            raise FlowError(page.text)
        return page


class _Page(HTMLParser):
    """The parts of a page that a person uses: its text, its form's fields, its buttons."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.action = url
        self.fields: dict[str, str] = {}
        self.buttons: set[str] = set()
        self._words: list[str] = []
        self._skipped: str | None = None

    @property
    def text(self) -> str:
        """The words of the page on one line, without its title and header."""
        return " ".join(self._words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.action = urljoin(self.action, named.get("action") or "")
        elif tag == "input" and named.get("name"):
            self.fields[named["name"] or ""] = named.get("value") or ""
        elif tag == "button" and named.get("name"):
            self.buttons.add(named["name"] or "")
        elif tag in {"title", "header"}:
            self._skipped = tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self._skipped is None:
            self._words.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipped:
            self._skipped = None
