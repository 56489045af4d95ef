"""Tokens and codes are bound to the caller they were issued to."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from botocore.config import Config

import grantway
from grantway.testing import faults
from grantway_grants import device_code
from grantway_plugins.gateway import (
    Broker,
    DeviceAuthorizationEndpoint,
    Principal,
    TokenEndpoint,
    hash_secret,
)
from grantway_plugins.gateway._inbound.first_presenters import FirstPresenters
from grantway_plugins.stores.encrypted._keys import generate_key
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests.aws_sessions import boto3_session
from tests.plugins.gateway.conftest import FORM, JSON, THEIRS, Brokered, Serve

EVIL_SECRET = "evil-very-secret-0123456789"
CLIENTS = {"shop": hash_secret(THEIRS), "evil": hash_secret(EVIL_SECRET)}
SECRETS = {"shop": THEIRS, "evil": EVIL_SECRET}
DEVICE = device_code.GRANT_TYPE
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
REFRESH_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"
VERIFIER = "v" * 43


def request_token(
    endpoint: TokenEndpoint, client: str, **params: str
) -> tuple[int, dict[str, Any]]:
    form = {"client_id": client, "client_secret": SECRETS[client], **params}
    response = endpoint.respond("POST", {"Content-Type": FORM}, urlencode(form).encode())
    return response.status, json.loads(response.body)


def request_token_json(
    endpoint: TokenEndpoint, client: str, **params: str
) -> tuple[int, dict[str, Any]]:
    members = {"clientId": client, "clientSecret": SECRETS[client], **params}
    response = endpoint.respond("POST", {"Content-Type": JSON}, json.dumps(members).encode())
    return response.status, json.loads(response.body)


def refreshed(endpoint: TokenEndpoint, client: str, token: str) -> tuple[int, str]:
    status, response = request_token(
        endpoint, client, grant_type="refresh_token", refresh_token=token
    )
    return status, response.get("error") or response["refresh_token"]


@pytest.fixture
def upstream_client(grantway_issuer: LiveIssuer) -> grantway.Client:
    """Return the gateway's client of an issuer that approves every login."""
    return grantway_issuer.client(scope=["read"], registry=None)


def logged_in(upstream_client: grantway.Client) -> tuple[TokenEndpoint, Broker, str]:
    """Return an endpoint, its broker, and the refresh token that the shop received."""
    broker = Broker(upstream_client, clients=CLIENTS)
    status, device_login = request_token(DeviceAuthorizationEndpoint(broker), "shop", scope="read")
    assert status == 200, device_login
    endpoint = TokenEndpoint(broker)
    status, token = request_token(
        endpoint, "shop", grant_type=DEVICE, device_code=device_login["device_code"]
    )
    assert status == 200, token
    return endpoint, broker, token["refresh_token"]


def test_another_caller_cannot_redeem_a_refresh_token(
    upstream_client: grantway.Client,
) -> None:
    endpoint, _, token = logged_in(upstream_client)
    status, body = request_token(endpoint, "evil", grant_type="refresh_token", refresh_token=token)
    assert (status, body["error"]) == (400, "invalid_grant")
    assert "not issued to this client by this gateway" in body["error_description"]
    status, body = request_token_json(
        endpoint, "evil", grantType="refresh_token", refreshToken=token
    )
    assert (status, body["error"]) == (400, "invalid_grant")
    # The attempt did not reach the provider, so the login is still valid.
    status, successor = refreshed(endpoint, "shop", token)
    assert status == 200
    assert refreshed(endpoint, "evil", successor) == (400, "invalid_grant")
    status, response = request_token_json(
        endpoint, "shop", grantType="refresh_token", refreshToken=successor
    )
    assert status == 200
    assert refreshed(endpoint, "evil", response["refreshToken"]) == (400, "invalid_grant")


def test_the_binding_survives_a_restart_and_holds_on_every_replica(
    upstream_client: grantway.Client,
) -> None:
    _, _, token = logged_in(upstream_client)
    replica = TokenEndpoint(Broker(upstream_client, clients=CLIENTS))
    assert refreshed(replica, "evil", token) == (400, "invalid_grant")
    assert refreshed(replica, "shop", token)[0] == 200


def test_rejects_tokens_that_are_not_sealed_or_were_modified(brokered: Brokered) -> None:
    broker, server = brokered(faults.respond(), clients=CLIENTS)
    endpoint = TokenEndpoint(broker)
    sealed = broker.bind("shop", "rt")
    for token in ("rt", sealed[:-6] + "AAAA==", sealed[1:], sealed + "A", "gwb1..", "gwb1.x.y"):
        assert refreshed(endpoint, "shop", token) == (400, "invalid_grant")
    # A sealed refresh token cannot be used as a device code.
    status, body = request_token(endpoint, "shop", grant_type=DEVICE, device_code=sealed)
    assert (status, body["error"]) == (400, "invalid_grant")
    assert not server.requests


def test_rejects_a_token_of_another_provider(brokered: Brokered) -> None:
    key = generate_key()
    there, _ = brokered(faults.respond(), clients=CLIENTS, keys=key)
    here, server = brokered(faults.respond(), clients=CLIENTS, keys=key)
    assert refreshed(TokenEndpoint(here), "shop", there.bind("shop", "rt")) == (
        400,
        "invalid_grant",
    )
    assert not server.requests


def test_a_provider_that_does_not_rotate_keeps_its_refresh_token(brokered: Brokered) -> None:
    broker, server = brokered(faults.respond(), clients=CLIENTS)
    endpoint = TokenEndpoint(broker)
    status, successor = refreshed(endpoint, "shop", broker.bind("shop", "rt"))
    assert (status, server.requests[-1].form["refresh_token"]) == (200, ["rt"])
    assert "rt-1" not in successor
    assert refreshed(endpoint, "evil", successor) == (400, "invalid_grant")


def test_keys_can_be_rotated_without_a_new_login(brokered: Brokered) -> None:
    old, new = generate_key(), generate_key()
    upstream = {"clients": CLIENTS, "upstream": "idp"}
    before, _ = brokered(faults.respond(), keys=old, **upstream)
    between, server = brokered(faults.respond(), keys=[new, old], **upstream)
    after, _ = brokered(faults.respond(), keys=f"{new}", **upstream)
    first = before.bind("shop", "rt")
    status, second = refreshed(TokenEndpoint(between), "shop", first)
    assert (status, server.requests[-1].form["refresh_token"]) == (200, ["rt"])
    assert refreshed(TokenEndpoint(after), "shop", second)[0] == 200
    assert refreshed(TokenEndpoint(after), "shop", first) == (400, "invalid_grant")


def test_seals_refresh_tokens_at_any_depth_of_a_response(brokered: Brokered) -> None:
    body = {
        "access_token": "rt-exchanged",
        "issued_token_type": REFRESH_TYPE,
        "token_type": "N_A",
        "authed_user": {"refresh_token": "rt-nested", "all": [{"refresh_token": "rt-listed"}]},
    }
    broker, server = brokered(
        faults.respond(200, json.dumps(body).encode(), {"Content-Type": JSON}), clients=CLIENTS
    )
    endpoint = TokenEndpoint(broker)
    own = broker.bind("shop", "rt-subject")
    exchange = {
        "grant_type": EXCHANGE,
        "subject_token": own,
        "subject_token_type": REFRESH_TYPE,
    }
    assert request_token(endpoint, "evil", **exchange)[1]["error"] == "invalid_grant"
    assert not server.requests
    status, response = request_token(endpoint, "shop", **exchange)
    assert (status, server.requests[-1].form["subject_token"]) == (200, ["rt-subject"])
    assert "rt-" not in json.dumps(response)
    for token in (
        response["access_token"],
        response["authed_user"]["refresh_token"],
        response["authed_user"]["all"][0]["refresh_token"],
    ):
        assert refreshed(endpoint, "evil", token) == (400, "invalid_grant")
        assert (
            request_token(endpoint, "shop", grant_type="refresh_token", refresh_token=token)[0]
            == 200
        )


def test_another_caller_cannot_redeem_a_device_code(
    upstream_client: grantway.Client,
) -> None:
    broker = Broker(upstream_client, clients=CLIENTS)
    _, device_login = request_token(DeviceAuthorizationEndpoint(broker), "shop", scope="read")
    assert device_login["verification_uri"].startswith("http")
    endpoint = TokenEndpoint(broker)
    redeem = {"grant_type": DEVICE, "device_code": device_login["device_code"]}
    assert request_token(endpoint, "evil", **redeem)[1]["error"] == "invalid_grant"
    # Sealed codes are bound across processes.
    replica = TokenEndpoint(Broker(upstream_client, clients=CLIENTS))
    assert request_token(replica, "evil", **redeem)[1]["error"] == "invalid_grant"
    assert request_token(replica, "shop", **redeem)[0] == 200


def test_an_unsealed_device_code_is_bound_to_its_first_presenter(brokered: Brokered) -> None:
    pending = faults.respond(400, {"error": "authorization_pending"})
    broker, server = brokered(pending, clients=CLIENTS)
    endpoint = TokenEndpoint(broker)
    redeem = {"grant_type": DEVICE, "device_code": "not-sealed"}
    assert request_token(endpoint, "shop", **redeem)[1]["error"] == "authorization_pending"
    assert request_token(endpoint, "evil", **redeem)[1]["error"] == "invalid_grant"
    status, body = request_token_json(endpoint, "evil", grantType=DEVICE, deviceCode="not-sealed")
    assert (status, body["error"]) == (400, "invalid_grant")
    assert len(server.requests) == 1


def test_rejects_new_codes_instead_of_unbinding_old_ones() -> None:
    first = FirstPresenters(seconds=3600, limit=2)
    assert first.claim("a", "shop")
    assert first.claim("b", "evil")
    assert not first.claim("c", "evil")
    assert not first.claim("a", "evil")
    assert first.claim("a", "shop")


def test_one_caller_cannot_use_all_places() -> None:
    first = FirstPresenters(seconds=3600, limit=100)
    assert sum(first.claim(f"evil-{number}", "evil") for number in range(200)) == 50
    assert sum(first.claim(f"shop-{number}", "shop") for number in range(10)) == 10


@pytest.mark.parametrize("framework", ["asgi", "wsgi"])
def test_boto3_logs_in_through_the_gateway(
    framework: str, serve: Serve, upstream_client: grantway.Client
) -> None:
    broker = Broker(upstream_client, clients=CLIENTS)
    options: dict[str, Any] = {
        "region_name": "eu-west-1",
        "config": Config(retries={"total_max_attempts": 1}),
    }

    def aws(endpoint: TokenEndpoint) -> Any:
        # The frameworks of these tests serve one application at every path.
        url = serve(framework, endpoint).removesuffix("/token")
        return boto3_session().client("sso-oidc", endpoint_url=url, **options)

    begins, redeems = aws(DeviceAuthorizationEndpoint(broker)), aws(TokenEndpoint(broker))
    shop = {"clientId": "shop", "clientSecret": THEIRS}
    device_login = begins.start_device_authorization(
        startUrl="https://acme.awsapps.com/start", **shop
    )
    assert device_login["interval"] >= 1
    token = redeems.create_token(grantType=DEVICE, deviceCode=device_login["deviceCode"], **shop)
    assert token["refreshToken"].startswith("gwb1.")
    with pytest.raises(redeems.exceptions.InvalidGrantException):
        redeems.create_token(
            clientId="evil",
            clientSecret=EVIL_SECRET,
            grantType="refresh_token",
            refreshToken=token["refreshToken"],
        )
    begins.close()
    redeems.close()


def test_rejects_device_logins_of_callers_without_permission(brokered: Brokered) -> None:
    def rule(client_id: str, secret: str | None) -> Principal | None:
        return Principal(client_id, frozenset({"refresh_token"})) if secret == THEIRS else None

    broker, server = brokered(faults.respond(), clients=rule)
    endpoint = DeviceAuthorizationEndpoint(broker)
    assert request_token(endpoint, "evil")[1]["error"] == "invalid_client"
    assert request_token(endpoint, "shop")[1]["error"] == "unauthorized_client"
    broker, server = brokered(faults.respond(), clients=CLIENTS)
    endpoint = DeviceAuthorizationEndpoint(broker)
    status, body = request_token(endpoint, "shop")
    assert (status, body["error_description"]) == (
        400,
        "The provider does not support device logins",
    )
    assert request_token(endpoint, "shop", scope="\x07")[1]["error"] == "invalid_request"
    assert not server.requests


CODE = {"grant_type": "authorization_code", "code": "c", "code_verifier": VERIFIER}
OWN, FOREIGN = "https://shop.example.com/cb", "https://evil.example.com/cb"


@pytest.mark.parametrize(
    ("client", "params", "error"),
    [
        ("shop", {"redirect_uri": OWN}, None),
        ("evil", {"redirect_uri": OWN}, "invalid_grant"),
        ("shop", {"redirect_uri": FOREIGN}, "invalid_grant"),
        ("shop", {}, "invalid_request"),
        ("shop", {"redirect_uri": OWN, "code_verifier": ""}, "invalid_request"),
    ],
)
def test_accepts_a_code_only_with_the_callers_own_redirect_uri(
    client: str, params: dict[str, str], error: str | None, brokered: Brokered
) -> None:
    broker, server = brokered(
        faults.respond(), clients=CLIENTS, redirect_uris={"shop": [OWN], "evil": [FOREIGN]}
    )
    _, body = request_token(TokenEndpoint(broker), client, **{**CODE, **params})
    assert body.get("error") == error
    assert len(server.requests) == (error is None)


def by_function(client_id: str, secret: str | None) -> bool:
    return SECRETS.get(client_id) == secret


@pytest.mark.parametrize("clients", [CLIENTS, by_function])
def test_rejects_codes_of_several_callers_without_redirect_uris(
    clients: Any, brokered: Brokered
) -> None:
    broker, server = brokered(faults.respond(), clients=clients)
    _, body = request_token(TokenEndpoint(broker), "shop", **CODE, redirect_uri=OWN)
    assert body["error"] == "unauthorized_client"
    assert "redirect_uris" in body["error_description"]
    assert not server.requests
    alone, _ = brokered(faults.respond(), clients={"shop": CLIENTS["shop"]})
    assert request_token(TokenEndpoint(alone), "shop", **CODE, redirect_uri=OWN)[0] == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"client_secret": None}, "keys: is missing"),
        ({"keys": b"short"}, "keys: a key must be 32 bytes"),
        ({"redirect_uris": {"unlisted": [OWN]}}, "'unlisted' is not one of the clients"),
        ({"redirect_uris": {"shop": OWN}}, "must have a list of URIs"),
        ({"redirect_uris": {"shop": ["ftp://x"]}}, "has a URI that must be https"),
        ({"redirect_uris": {"shop": [OWN], "evil": [OWN]}}, "shares https://shop.example.com/cb"),
        (
            {
                "redirect_uris": {
                    "shop": ["http://127.0.0.1:1/cb"],
                    "evil": ["http://127.0.0.1:2/cb"],
                }
            },
            "shares http://127.0.0.1:2/cb with 'shop'",
        ),
        ({"redirect_uris": {}, "clients": by_function}, "a function returns them"),
    ],
)
def test_rejects_an_invalid_binding_at_construction(
    options: dict[str, Any], says: str, brokered: Brokered
) -> None:
    with pytest.raises(grantway.ConfigurationError, match=says) as caught:
        brokered(faults.respond(), **{"clients": CLIENTS, **options})
    assert "short" not in str(caught.value)


def test_a_public_client_works_with_explicit_keys(brokered: Brokered) -> None:
    broker, _ = brokered(faults.respond(), clients=CLIENTS, client_secret=None, keys=generate_key())
    assert refreshed(TokenEndpoint(broker), "shop", broker.bind("shop", "rt"))[0] == 200


def test_secrets_never_appear_in_reprs(
    brokered: Brokered, http: requests.Session, caplog: Any
) -> None:
    key = generate_key()
    broker, _ = brokered(faults.respond(), clients=CLIENTS, keys=key)
    endpoint = TokenEndpoint(broker)
    sealed = broker.bind("shop", "rt-very-secret")
    _, body = request_token(endpoint, "evil", grant_type="refresh_token", refresh_token=sealed)
    assert sealed not in json.dumps(body) + caplog.text + repr(endpoint)
    assert key not in repr(endpoint) + repr(broker)
