"""npm's oidc-provider on loopback: a provider that owes nothing to this project."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import requests

from tests.interop import node_packages
from tests.interop.browser import Browser, Page
from tests.interop.program import STARTUP_SECONDS, Program

MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that the provider knows."""

    client_id: str
    client_secret: str | None
    token_endpoint_auth_method: str


class OidcProvider:
    """A running oidc-provider, and the person who signs in to it.

    PKCE with S256 is required, every login is accepted, every grant answers with a refresh
    token, and refresh tokens rotate: a second use of one revokes all that the login gave.

    Args:
        ttl: Lifetimes in seconds by oidc-provider's names, such as ``{"DeviceCode": 1}``.

    Attributes:
        issuer: Its issuer identifier, with the port that it found.
        clients: By name: ``basic``, ``awkward`` (Basic credentials full of reserved
            characters), ``post`` and ``public``. All may use the redirect URI
            ``http://127.0.0.1:<any port>/callback``; the scopes are openid, offline_access,
            read and write; ``basic`` and ``post`` may use client_credentials too, and a further
            one, ``ciba``, backchannel authentication with ``user-1`` as the only login hint.
        pid: Its process.
    """

    issuer: str
    pid: int
    clients: dict[str, RegisteredClient]

    def __init__(self, *, ttl: Mapping[str, int] | None = None) -> None:
        self._settings = json.dumps({"ttl": dict(ttl or {})})
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node_packages.install()
        script = node_packages.FOLDER / "oidc_provider.mjs"
        with contextlib.ExitStack() as exits:
            program = exits.enter_context(Program([node_packages.NODE, script, self._settings]))
            ready = program.read_json(STARTUP_SECONDS)
            self.issuer = ready["issuer"]
            self.clients = {
                name: RegisteredClient(
                    client_id=client["client_id"],
                    client_secret=client.get("client_secret"),
                    token_endpoint_auth_method=client["token_endpoint_auth_method"],
                )
                for name, client in ready["clients"].items()
            }
            self.pid = program.pid
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    def approve_device(self, verification_uri_complete: str) -> None:
        """Open the link of a device login, sign in and agree."""
        with Browser() as browser:
            page = self._agree(browser, browser.open(verification_uri_complete))
        assert "Sign-in Success" in page.text, page.text

    def deny_device(self, verification_uri_complete: str) -> None:
        """Open the link of a device login and press Abort."""
        with Browser() as browser:
            page = browser.open(verification_uri_complete)
            for _ in range(MOST_PAGES):
                (form,) = page.forms
                if "confirm" in form.fields:
                    page = browser.submit(form, abort="yes")
                    break
                page = browser.submit(form)
        assert "interrupted" in page.text, page.text

    def decide_on_the_phone(self, binding_message: str, decision: str) -> None:
        """Be the person whose phone shows this message; ``approve`` or ``deny``."""
        with requests.Session() as phone:
            phone.trust_env = False
            answer = phone.post(
                f"{self.issuer}/phone",
                params={"binding_message": binding_message, "decision": decision},
                timeout=10,
            )
        assert answer.status_code == 204, answer.text

    def authorize(self, url: str) -> str:
        """Open an authorization URL, sign in and agree.

        Returns:
            The redirect that leads back to the client, not followed.
        """
        with Browser() as browser:
            page = self._agree(browser, browser.open(url))
        assert page.left_for is not None, page.text
        return page.left_for

    def refuse(self, url: str) -> str:
        """Open an authorization URL and press Cancel.

        Returns:
            The redirect that leads back to the client, not followed.
        """
        with Browser() as browser:
            page = browser.open(url)
            page = browser.open(page.links["[ Cancel ]"])
        assert page.left_for is not None, page.text
        return page.left_for

    def _agree(self, browser: Browser, page: Page) -> Page:
        for _ in range(MOST_PAGES):
            if not page.forms:
                return page
            (form,) = page.forms
            login = {"login": "user-1", "password": "any"} if "login" in form.fields else {}
            page = browser.submit(form, **login)
        raise AssertionError(f"still asked after {MOST_PAGES} pages:\n{page.text}")
