"""Test class for client authentication methods."""

from __future__ import annotations

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from grantway._exceptions import GrantwayError
from grantway._requests.client import Client
from grantway._requests.client_auth import ClientAuth, check_client_auth
from grantway._requests.outgoing_request import OutgoingRequest
from grantway._requests.provider import Provider
from grantway._requests.retry import RetryPolicy
from grantway.testing import faults
from grantway.testing.faults import FaultServer, Received, Stage

from .shown import ShownErrors

#: Shorter secrets are not looked for, because they may occur by chance.
SHORTEST = 4
#: The body of a request before the authentication is added.
FIELDS = {"grant_type": "refresh_token", "refresh_token": "rt-1", "scope": ("a", "b")}


class ClientAuthTests(ShownErrors):
    """Tests for client authentication: the parts that it adds, and that no secret is shown.

    Inherit it, and define the fixture ``client_auth``: an object with ``client_id``,
    ``authenticate`` and ``secrets``.

    ::

        class TestApiKey(ClientAuthTests):
            @pytest.fixture
            def client_auth(self):
                return ApiKey("my-client", "k-0123456789")

    Attributes:
        public: Names of the headers and fields that it adds and that contain no secret.
    """

    public: ClassVar[Collection[str]] = ("client_id", "client_assertion_type")

    def test_has_every_member_of_client_auth(self, client_auth: ClientAuth) -> None:
        assert check_client_auth(client_auth) is client_auth
        assert all(client_auth.secrets()), "secrets() contains an empty string"

    def test_repr_and_str_contain_no_secret(self, client_auth: ClientAuth) -> None:
        shown = f"{client_auth!r} {client_auth}"
        assert [each for each in self.known(client_auth) if each in shown] == []

    def test_changes_the_request_and_returns_nothing(self, client_auth: ClientAuth) -> None:
        request = self.request()
        authenticate: Any = client_auth.authenticate
        assert authenticate(request) is None
        assert {name: request.fields.get(name) for name in FIELDS} == FIELDS
        assert urlsplit(request.url).scheme == "https"
        for name, value in request.headers.items():
            assert isinstance(value, str), f"the header {name} is {type(value).__name__}"
            assert value.isprintable(), f"the header {name} contains a control character"
            value.encode("latin-1")

    def test_secrets_lists_every_secret_that_is_sent(self, client_auth: ClientAuth) -> None:
        request = self.request()
        client_auth.authenticate(request)
        added = {
            **{name: value for name, value in request.fields.items() if name not in FIELDS},
            **request.headers,
        }
        known = [*self.known(client_auth), *request.secrets]
        public = {name.lower() for name in self.public}
        for name in sorted(name for name in added if name.lower() not in public):
            assert any(secret in str(added[name]) for secret in known), (
                f"{name} contains no secret of secrets() or request.secrets, in the encoding that "
                "is sent; add it there, or to `public` if it contains no secret"
            )

    def test_authenticates_each_send(self, client_auth: ClientAuth) -> None:
        sent = []
        for _ in range(3):
            request = self.request()
            client_auth.authenticate(request)
            sent.append((request.fields.keys(), request.headers.keys()))
        assert sent[0] == sent[1] == sent[2]

    def test_threads_share_it(self, client_auth: ClientAuth) -> None:
        def work(number: int) -> OutgoingRequest:
            request = self.request(f"step-{number}")
            client_auth.authenticate(request)
            return request

        expected = work(0)
        with ThreadPoolExecutor(4) as pool:
            for number, request in enumerate(pool.map(work, range(20))):
                assert request.step == f"step-{number}"
                assert request.fields.keys() == expected.fields.keys()
                assert request.headers.keys() == expected.headers.keys()

    def test_errors_show_no_secret_that_the_provider_repeats(self, client_auth: ClientAuth) -> None:
        received: list[Received] = []

        def echo(stage: Stage) -> bool:
            request = stage.read_request()
            if request is None:
                return False
            received.append(request)
            texts = [*request.headers.values(), *(v for vs in request.form.values() for v in vs)]
            body = {"error": "invalid_client", "error_description": " ".join(texts)}
            stage.send(faults.message(401, json.dumps(body).encode()))
            return True

        with FaultServer(echo) as server:
            provider = Provider(server.token_endpoint)
            retry = RetryPolicy(attempts=1)
            with (
                Client(
                    provider, client_id=client_auth.client_id, auth=client_auth, retry=retry
                ) as client,
                pytest.raises(GrantwayError) as caught,
            ):
                client.create_token(grant_type="refresh_token", refresh_token="rt-1")
        assert received, f"nothing was sent: {caught.value}"
        text = self.shown(caught.value)
        assert [each for each in self.known(client_auth) if each in text] == []

    def request(self, step: str = "token") -> OutgoingRequest:
        """Return a request without authentication."""
        url = "https://as.example/token"
        return OutgoingRequest(url, {**FIELDS}, {}, step, Provider(url))

    def known(self, client_auth: ClientAuth) -> list[str]:
        """Return the secrets that are long enough to be looked for."""
        return [each for each in client_auth.secrets() if len(each) >= SHORTEST]
