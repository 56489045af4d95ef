"""npm's oidc-provider on loopback, an independent implementation."""

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
    """A client registered at the provider."""

    client_id: str
    client_secret: str | None
    token_endpoint_auth_method: str


class OidcProvider:
    """A running oidc-provider, and a simulated user.

    The provider requires PKCE with S256, accepts every login, issues a refresh token with every
    grant, and rotates refresh tokens. Reusing one revokes all tokens of the login.

    Args:
        ttl: Lifetimes in seconds by oidc-provider's names, such as ``{"DeviceCode": 1}``.

    Attributes:
        issuer: Issuer identifier with the port.
        clients: Clients by name: ``basic``, ``awkward`` (Basic credentials with reserved
            characters), ``post`` and ``public``. All have the redirect URI ``http://127.0.0.1:<any
            port>/callback`` and the scopes openid, offline_access, read and write. ``basic`` and
            ``post`` may also use client_credentials. The client ``ciba`` may use backchannel
            authentication, with ``user-1`` as the only login hint. The client ``issuer`` is an
            issuer whose users log in here: its redirect URI ends with ``/login/callback``.
        pid: Process ID.
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
        """Open the link of a device login, sign in and consent."""
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

    def decide_on_phone(self, binding_message: str, decision: str) -> None:
        """Decide on the request with this message on the user's phone: ``approve`` or ``deny``."""
        with requests.Session() as phone:
            phone.trust_env = False
            response = phone.post(
                f"{self.issuer}/phone",
                params={"binding_message": binding_message, "decision": decision},
                timeout=10,
            )
        assert response.status_code == 204, response.text

    def authorize(self, url: str) -> str:
        """Open an authorization URL, sign in and consent.

        Returns:
            The redirect URI of the response, which is not requested.
        """
        with Browser() as browser:
            page = self._agree(browser, browser.open(url))
        assert page.redirected_to is not None, page.text
        return page.redirected_to

    def deny(self, url: str) -> str:
        """Open an authorization URL and press Cancel.

        Returns:
            The redirect URI of the response, which is not requested.
        """
        with Browser() as browser:
            page = browser.open(url)
            page = browser.open(page.links["[ Cancel ]"])
        assert page.redirected_to is not None, page.text
        return page.redirected_to

    def _agree(self, browser: Browser, page: Page) -> Page:
        for _ in range(MOST_PAGES):
            if not page.forms:
                return page
            (form,) = page.forms
            login = {"login": "user-1", "password": "any"} if "login" in form.fields else {}
            page = browser.submit(form, **login)
        raise AssertionError(f"the login is not finished after {MOST_PAGES} pages:\n{page.text}")
