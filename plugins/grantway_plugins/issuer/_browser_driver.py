"""A browser substitute for the issuer's pages, for demos and tests."""

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
    """Opens the issuer's pages and submits their forms, with cookies.

    ::

        with BrowserDriver() as browser:
            browser.approve_device(started["verificationUriComplete"])
    """

    def __init__(self) -> None:
        self._browser = requests.Session()
        # Ignore proxy settings and .netrc, because the issuer runs on this machine.
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
        """Approve a device.

        Args:
            verification_uri: The verification URI, with or without the user code.
            user_code: The user code, if the URI does not contain it.

        Raises:
            FlowError: the page shows an error; the message is its text.
        """
        self._press(self._open_device_page(verification_uri, user_code), "approve")

    def deny_device(self, verification_uri: str, user_code: str | None = None) -> None:
        """Deny a device; arguments and errors as in ``approve_device``."""
        self._press(self._open_device_page(verification_uri, user_code), "deny")

    def approve_authorization(self, url: str) -> str:
        """Approve a client's authorization request.

        Args:
            url: URL of the authorization request.

        Returns:
            URL of the redirect, which contains ``code``. The redirect is not followed.

        Raises:
            FlowError: the page shows an error; the message is its text.
        """
        return self._decide_authorization(url, "approve")

    def visit(self, url: str) -> str:
        """Open a page.

        Returns:
            The text of the page.

        Raises:
            FlowError: the page is an error page; the message is its text.
        """
        return self._read(self._browser.get(url, timeout=TIMEOUT)).text

    def submit(self, url: str, **values: str) -> str:
        """Open a page and submit its form.

        Args:
            url: URL of the page.
            **values: Fields to fill in, and the button to press, such as ``decision="approve"``.

        Returns:
            URL of the redirect, which is not followed; or the text of the page that is shown.

        Raises:
            FlowError: a page is an error page; the message is its text.
        """
        response = self._post(self._read(self._browser.get(url, timeout=TIMEOUT)), values)
        return response.headers.get("location") or self._read(response).text

    def deny_authorization(self, url: str) -> str:
        """Deny a client's request; the returned redirect contains ``error``."""
        return self._decide_authorization(url, "deny")

    def _open_device_page(self, uri: str, user_code: str | None) -> _Page:
        page = self._read(self._browser.get(uri, timeout=TIMEOUT))
        if user_code is not None and "decision" not in page.buttons:
            page = self._send(page, {"user_code": user_code})
        return page

    def _decide_authorization(self, url: str, decision: str) -> str:
        response = self._browser.get(url, timeout=TIMEOUT, allow_redirects=False)
        if not response.is_redirect:
            response = self._post(self._read(response), {"decision": decision})
        location = response.headers.get("location")
        if location is None:
            raise FlowError(self._read(response).text)
        return location

    def _post(self, page: _Page, values: dict[str, str]) -> requests.Response:
        """Submit a form; do not follow a redirect."""
        return self._browser.post(
            page.action, data={**page.fields, **values}, timeout=TIMEOUT, allow_redirects=False
        )

    def _press(self, page: _Page, decision: str) -> None:
        if "decision" not in page.buttons:
            raise FlowError(page.text)
        self._send(page, {"decision": decision})

    def _send(self, page: _Page, values: dict[str, str]) -> _Page:
        return self._read(
            self._browser.post(page.action, data={**page.fields, **values}, timeout=TIMEOUT)
        )

    @staticmethod
    def _read(response: requests.Response) -> _Page:
        page = _Page(response.url)
        page.feed(response.text)
        page.close()
        if not response.ok:
            raise FlowError(page.text)
        return page


class _Page(HTMLParser):
    """The text, form fields and buttons of a page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.action = url
        self.fields: dict[str, list[str]] = {}
        self.buttons: set[str] = set()
        self._words: list[str] = []
        self._skipped: str | None = None

    @property
    def text(self) -> str:
        """The text of the page on one line, without its title and header."""
        return " ".join(self._words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.action = urljoin(self.action, named.get("action") or "")
        elif tag == "input" and named.get("name"):
            self.fields.setdefault(named["name"] or "", []).append(named.get("value") or "")
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
