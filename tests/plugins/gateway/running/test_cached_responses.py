"""Responses of the authorization endpoint that say how long a proxy may cache them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._config import ConfigFile
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway, write
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import until

ACME = {"X-Tenant": "acme"}
_ROUTE = 'provider = "{0}"\ntenant = "{1}"\non_failure = "{2}"\n'


async def provider(scope: Any, receive: Any, send: Any) -> None:
    """Issue tokens with the lifetime that the path names."""
    await receive()
    lifetime = int(scope["path"].rpartition("/")[2])
    token = {"access_token": f"of-{lifetime}", "token_type": "Bearer", "expires_in": lifetime}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(token).encode()})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with asgi_server(provider) as url:
        yield url


def config(folder: Path, issuer: str, more: str = "") -> Path:
    """Write a gateway file with providers of long and short tokens."""
    providers = {
        "long": f"{issuer}/3600",
        "short": f"{issuer}/4",
        "down": "http://127.0.0.1:1/token",
    }
    routes = {
        "orders": ("long", "header:X-Tenant", "closed"),
        "short": ("short", "header:X-Other", "closed"),
        "open": ("down", "single", "open"),
        "closed": ("down", "single", "closed"),
    }
    text = "".join(
        f'[providers.{name}]\ntoken_endpoint = "{url}"\nclient_id = "x"\nauth = "none"\n'
        for name, url in providers.items()
    )
    text += "".join(
        f'[routes.{name}]\npath = "/{name}"\n{_ROUTE.format(*values)}'
        for name, values in routes.items()
    )
    text += f'[routes.kept]\npath = "/kept"\nincoming = "keep"\n{_ROUTE.format(*routes["orders"])}'
    return write(folder, f'{text}[authorize]\nlisten = "127.0.0.1:0"\n{more}')


@pytest.fixture(scope="module")
def run(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with gateway(config(tmp_path_factory.mktemp("gateway"), issuer)) as running:
        yield running


def check(run: GatewayProcess, uri: str, path: str = "/nginx/cached", **headers: str) -> Any:
    """Send a check as nginx does with a generated configuration."""
    described = {
        "X-Original-URI": uri,
        "X-Forwarded-Uri": uri,
        "X-Original-Method": "GET",
        "X-Forwarded-Host": "api.example.com",
        **headers,
    }
    return requests.get(f"{run.authorize}{path}", headers=described, timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/nginx/cached", "/forward-auth/cached"])
def test_a_token_may_be_cached_for_less_than_the_configured_time(
    run: GatewayProcess, path: str
) -> None:
    """Revalidation and whole seconds add two seconds, so no cache uses it longer than five."""
    response = check(run, "/orders/1?x=1", path, **ACME)
    assert (response.status_code, response.headers["authorization"]) == (200, "Bearer of-3600")
    assert response.headers["cache-control"] == "max-age=3, stale-while-revalidate=1"


def test_vary_lists_every_header_that_the_response_depends_on(run: GatewayProcess) -> None:
    vary = set(check(run, "/orders", **ACME).headers["vary"].split(", "))
    assert {"x-original-uri", "x-original-method", "x-forwarded-host"} <= vary
    assert {"x-tenant", "x-other", "x-grantway-route"} <= vary


def test_other_headers_do_not_affect_a_cacheable_response(run: GatewayProcess) -> None:
    plain = check(run, "/orders", **ACME)
    others = {
        "Authorization": "Bearer of-the-caller",
        "Connection": "close, Authorization",
        "X_Tenant": "umbrella",
    }
    assert check(run, "/orders", "/nginx", **ACME, **others).status_code == 403
    same = check(run, "/orders", **ACME, **others)
    assert same.status_code == 200
    assert same.headers["authorization"] == plain.headers["authorization"]


def test_a_token_is_not_cached_into_its_refresh_window(run: GatewayProcess) -> None:
    """A token of 4 seconds is replaced after 3.0 to 3.6, of which a cache may add 2."""
    tenants = (f"tenant-{number}" for number in itertools.count())
    headers: dict[str, str] = {}

    def lifetime() -> str:
        return str(check(run, "/short", **headers).headers["cache-control"])

    def is_cached() -> bool:
        """Return whether a new token may be cached; on a busy machine, it may come too late."""
        headers["X-Other"] = next(tenants)
        return lifetime() == "max-age=1, stale-while-revalidate=1"

    until(is_cached)
    until(lambda: lifetime() == "no-store")


def test_denials_and_responses_without_a_token_are_not_cached(run: GatewayProcess) -> None:
    for uri, headers, status in (
        ("/orders", {}, 403),
        ("/orders//x", ACME, 403),
        ("/nothing", ACME, 403),
        ("/closed", ACME, 503),
        ("/open", ACME, 200),
        ("/orders", {**ACME, "X-Original-Method": "TRACE"}, 403),
    ):
        response = check(run, uri, **headers)
        assert response.status_code == status
        assert response.headers["cache-control"] == "no-store"


def test_a_route_that_depends_on_other_headers_is_rejected(run: GatewayProcess) -> None:
    response = check(run, "/kept", **ACME)
    assert response.status_code == 403
    assert "must use the path without /cached" in response.json()["error_description"]


def test_the_path_without_caching_still_forbids_it(run: GatewayProcess) -> None:
    for path in ("/nginx", "/forward-auth"):
        assert check(run, "/orders", path, **ACME).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/nginx", "/nginx/cached", "/forward-auth"])
def test_a_proxy_that_forwards_by_another_route_gets_no_token(
    run: GatewayProcess, path: str
) -> None:
    named = {**ACME, "X-Grantway-Route": "orders"}
    assert check(run, "/orders", path, **named).status_code == 200
    response = check(run, "/short", path, **{"X-Other": "acme"}, **named)
    assert response.status_code == 403
    assert "it belongs to short" in response.json()["error_description"]
    assert "authorization" not in response.headers


def test_caching_can_be_forbidden(issuer: str, tmp_path: Path) -> None:
    with gateway(config(tmp_path, issuer, "cache_seconds = 0\n")) as running:
        assert check(running, "/orders", **ACME).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("value", ["1", "2", "-1", "2.5", '"5"'])
def test_invalid_times_are_reported_with_their_line(
    issuer: str, tmp_path: Path, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("authorize.cache_seconds must be")):
        ConfigFile(config(tmp_path, issuer, f"cache_seconds = {value}\n"))
