"""Secrets of a gateway's clients and parameters that come from sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grantway import Token
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.runtime import Runtime
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from tests import faults
from tests.faults import FaultServer

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ROUTE = """
[routes.{name}]
path = "/{name}"
upstream = "http://127.0.0.1:9000"
provider = "idp"
tenant = "{tenant}"
on_failure = "closed"
{more}
"""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(faults.respond()) as server:
        yield server


def provider(server: FaultServer, secret: str) -> str:
    return (
        f'[providers.idp]\ntoken_endpoint = "{server.token_endpoint}"\nclient_id = "gateway"\n'
        f"{secret}\n"
    )


def route(name: str = "orders", more: str = "", tenant: str = "single") -> str:
    return ROUTE.format(name=name, more=more, tenant=tenant)


@contextmanager
def running(folder: Path, text: str) -> Iterator[Runtime]:
    file = folder / "gateway.toml"
    file.write_text(text)
    runtime = build_runtime(ConfigFile(file))
    try:
        yield runtime
    finally:
        runtime.components.close()


def token(runtime: Runtime, route: int = 0, tenant: str = EVERYBODY) -> Token:
    """Return a new token of a route."""
    pool = runtime.upstream.routes[route].credential
    credential = pool.credential(tenant)  # type: ignore[union-attr]
    if credential.fresh:
        credential.invalidate(credential.token())
    return credential.token()


def sent(server: FaultServer, name: str) -> list[str]:
    return [request.form[name][0] for request in server.requests]


def test_an_assertion_from_a_file_authenticates_the_gateway(
    tmp_path: Path, server: FaultServer
) -> None:
    identity = tmp_path / "identity"
    identity.write_text("e30.e30.one")
    secret = 'client_assertion = {source = "file", path = "identity"}'
    with running(tmp_path, provider(server, secret) + route()) as runtime:
        token(runtime)
        identity.unlink()
        identity.write_text("e30.e30.two")
        token(runtime)
    assert sent(server, "client_assertion") == ["e30.e30.one", "e30.e30.two"]


def test_a_tenant_may_authenticate_with_an_assertion_instead_of_the_secret(
    tmp_path: Path, server: FaultServer
) -> None:
    (tmp_path / "acme").write_text("e30.e30.acme")
    text = (
        provider(server, 'client_secret = "s3cr3t-of-the-gateway"\nauth = "client_secret_post"')
        + route(tenant="header:X-Tenant")
        + '[tenants.acme.idp]\nclient_id = "acme"\n'
        + 'client_assertion = {source = "file", path = "acme"}\n'
    )
    with running(tmp_path, text) as runtime:
        token(runtime, tenant="acme")
        token(runtime, tenant="other")
    own, common = (request.form for request in server.requests)
    assert own["client_id"] == ["acme"]
    assert own["client_assertion"] == ["e30.e30.acme"]
    assert "client_secret" not in own
    assert common["client_secret"] == ["s3cr3t-of-the-gateway"]


def test_routes_with_different_sources_do_not_share_tokens(
    tmp_path: Path, server: FaultServer
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"e30.e30.{name}")
    text = provider(server, 'client_secret = "s3cr3t"')
    for name in ("one", "two"):
        source = f'{{source = "file", path = "{name}"}}'
        text += route(name, f'grant = "{BEARER}"\nparams = {{assertion = {source}}}')
    with running(tmp_path, text) as runtime:
        token(runtime, 0)
        token(runtime, 1)
        assert sent(server, "assertion") == ["e30.e30.one", "e30.e30.two"]
        (tmp_path / "one").write_text("e30.e30.changed")
        token(runtime, 0)
    assert sent(server, "assertion")[2] == "e30.e30.changed"


def test_a_tenant_may_have_its_own_source(tmp_path: Path, server: FaultServer) -> None:
    for name in ("common", "acme"):
        (tmp_path / name).write_text(f"e30.e30.{name}")
    text = (
        provider(server, 'client_secret = "s3cr3t"')
        + route(
            more=f'grant = "{BEARER}"\n'
            'params = {assertion = {source = "file", path = "common"}}',
            tenant="header:X-Tenant",
        )
        + '[tenants.acme.idp]\nparams = {assertion = {source = "file", path = "acme"}}\n'
        + '[tenants.constant.idp]\nparams = {assertion = "e30.e30.constant"}\n'
    )
    with running(tmp_path, text) as runtime:
        for tenant in ("acme", "constant", "other"):
            token(runtime, tenant=tenant)
    assert sent(server, "assertion") == ["e30.e30.acme", "e30.e30.constant", "e30.e30.common"]


def test_a_reload_keeps_what_was_read(
    tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a changed table makes a new client."""
    monkeypatch.setenv("GATEWAY_SECRET", "one")
    secret = (
        'auth = "client_secret_post"\nclient_secret = {source = "env", name = "GATEWAY_SECRET"}'
    )
    with running(tmp_path, provider(server, secret) + route()) as before:
        again = build_runtime(ConfigFile(tmp_path / "gateway.toml"), before=before)
        assert again.providers["idp"] is before.providers["idp"]
        monkeypatch.setenv("GATEWAY_SECRET", "two")
        token(again)
    assert sent(server, "client_secret") == ["two"]
