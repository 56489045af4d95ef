"""Client authentication (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
import pickle
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given, strategies as st

from grantway import (
    Client,
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    ConfigurationError,
    NoAuth,
    Provider,
)
from grantway._requests.client_auth import client_auth
from grantway._requests.outgoing_request import OutgoingRequest
from grantway._wire.dialect import Dialect
from grantway._wire.shapes import RequestShape
from grantway.testing import ClientAuthTests
from tests import faults
from tests.faults import FaultServer, Received

SECRET = "s3cr:t+/=&%é ü"


def sent(**options: Any) -> Received:
    """Return the request of one refresh."""
    dialect = options.pop("dialect", None)
    with FaultServer(faults.respond()) as server:
        provider = Provider(
            token_endpoint=server.token_endpoint, **({"dialect": dialect} if dialect else {})
        )
        with Client(provider, client_id=options.pop("client_id", "my:id é"), **options) as client:
            client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    (request,) = server.requests
    return request


def credentials(request: Received) -> tuple[str, str]:
    kind, _, value = request.headers["authorization"].partition(" ")
    assert kind == "Basic"
    name, _, secret = base64.b64decode(value).decode().partition(":")
    return name, secret


def test_basic_credentials_are_form_encoded_first() -> None:
    request = sent(client_secret=SECRET)
    name, secret = credentials(request)
    assert (name, secret) == ("my%3Aid+%C3%A9", "s3cr%3At%2B%2F%3D%26%25%C3%A9+%C3%BC")
    assert "client_id" not in request.form
    assert "client_secret" not in request.form


@given(st.text(min_size=1), st.text(min_size=1))
def test_basic_credentials_can_be_decoded(client_id: str, secret: str) -> None:
    proof = ClientSecretBasic(client_id, secret)
    pair = base64.b64decode(proof._header[6:]).decode()
    assert [unquote_plus(part) for part in pair.split(":")] == [client_id, secret]


def test_raw_credentials_are_not_encoded() -> None:
    raw = Dialect(name="raw", request=RequestShape(basic="raw"))
    assert credentials(sent(client_id="my-id", client_secret=SECRET, dialect=raw)) == (
        "my-id",
        SECRET,
    )


def test_rejects_a_colon_in_the_client_id_of_raw_credentials() -> None:
    with pytest.raises(ConfigurationError, match="colon"):
        ClientSecretBasic("my:id", SECRET, "raw")


def test_client_secret_post_sends_both_in_the_body() -> None:
    request = sent(client_secret=SECRET, auth="client_secret_post")
    assert (request.form["client_id"], request.form["client_secret"]) == (["my:id é"], [SECRET])
    assert "authorization" not in request.headers


@pytest.mark.parametrize("options", [{}, {"auth": "none", "client_secret": SECRET}])
def test_a_public_client_sends_only_its_client_id(options: Any) -> None:
    request = sent(**options)
    assert request.form["client_id"] == ["my:id é"]
    assert "client_secret" not in request.form
    assert "authorization" not in request.headers


class TestStandardMethods(ClientAuthTests):
    """The tests for every client authentication."""

    check_locals = True

    @pytest.fixture(
        params=[
            NoAuth("my-client"),
            ClientSecretPost("my-client", SECRET),
            ClientSecretBasic("my-client", SECRET),
            ClientSecretBasic("my-client", SECRET, "raw"),
        ],
        ids=lambda auth: type(auth).__name__,
    )
    def client_auth(self, request: pytest.FixtureRequest) -> ClientAuth:
        auth: ClientAuth = request.param
        return auth

    def test_can_be_pickled(self, client_auth: ClientAuth) -> None:
        assert pickle.loads(pickle.dumps(client_auth)) == client_auth


@pytest.mark.parametrize("secret", [None, "s"])
def test_an_unknown_method_lists_the_registered_ones(secret: str | None) -> None:
    with pytest.raises(ConfigurationError, match="client_secret_basic"):
        client_auth("client_secret_bsaic", "c", secret)


@pytest.mark.parametrize(
    ("client_id", "secret", "field"),
    [("", "s", "client_id"), (None, "s", "client_id"), ("c", "", "client_secret"),
     ("c", b"s", "client_secret"), ("c\ud800", "s", "client_id"),
     ("c", "secret-value\ud800", "client_secret")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_rejects_an_invalid_client_id_or_secret(
    method: str, client_id: Any, secret: Any, field: str
) -> None:
    with pytest.raises(ConfigurationError, match=field) as caught:
        client_auth(method, client_id, secret)
    assert "secret-value" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_accepts_a_custom_client_authentication() -> None:
    class Mine:
        client_id = "mine"

        def authenticate(self, request: Any) -> None:
            request.headers["X-Mine"] = request.step

        def secrets(self) -> tuple[str, ...]:
            return ()

    assert sent(auth=Mine()).headers["x-mine"] == "token"


def test_the_repr_of_a_client_shows_its_id_and_no_secret() -> None:
    client = Client(
        Provider(token_endpoint="https://example.com/token"), client_id="c", client_secret=SECRET
    )
    assert repr(client) == "Client('example.com', client_id='c')"
    assert NoAuth("c").secrets() == ()
    client.close()


def test_the_example_of_rfc_6749_section_2_3_1() -> None:
    request = OutgoingRequest("https://e.com/t", {}, {}, "token", Provider("https://e.com/t"))
    ClientSecretBasic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw").authenticate(request)
    encoded = "czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
    assert request.headers == {"Authorization": f"Basic {encoded}"}
