"""Encoded slashes, empty segments and dots reach an upstream unchanged if a route forwards them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grantway_plugins.issuer import IssuerServer
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import EchoUpstream, GatewayProcess, gateway
from tests.plugins.gateway.running.test_proxy import raw


@pytest.fixture(scope="module")
def shared(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    backends = make_backends(issuer, echo_server, tmp_path_factory.mktemp("encoded"))
    config = backends.write(
        backends.provider()
        + backends.route("git", encoded_paths='"forward"')
        + backends.route(
            "npm",
            upstream=f'"{backends.url}/base"',
            strip_path="true",
            encoded_paths='"forward"',
        )
        + backends.route("admin", tenant='"single"')
        + backends.route("strict")
    )
    with gateway(config) as running:
        yield running


def get_status_line(run: GatewayProcess, path: str) -> bytes:
    """Return the status line of the response to a request with exactly this target."""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n"
    return raw(run.url, head.encode("latin-1")).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/git/group%2Fname//x/%2e%2e/y%2f", "/git/group%2Fname//x/%2e%2e/y%2f"),
        ("/git/a/./b;v=1/%7euser", "/git/a/./b;v=1/%7euser"),
        ("/npm/@scope%2fname", "/base/@scope%2fname"),
        ("/npm/%2F/amq.topic?x=%2F", "/base/%2F/amq.topic"),
        ("/npm//x", "/base//x"),
    ],
)
def test_forwards_the_path_unchanged(
    shared: GatewayProcess, backends: Backends, path: str, arrives: str
) -> None:
    assert get_status_line(shared, path) == b"HTTP/1.1 200 OK"
    (seen,) = backends.echo.requests
    assert seen["path"] == arrives
    assert backends.echo.tokens[0].startswith("Bearer gwa_")


@pytest.mark.parametrize(
    "path",
    [
        "/git/..%2fadmin",
        "/git/%2e%2e/admin",
        "/git/../admin",
        "/git/..;/admin",
        "/git/a%5cb",
        "/git/%252e%252e%252fadmin",
        "/git//../admin",
        "//admin",
        "/npm/..%2f..%2fsecret",
        "/npm/%2e%2e/secret",
        "/npm/../secret",
        "/strict/a%2fb",
        "/strict//a",
        "/strict/%2e%2e/git",
    ],
)
def test_rejects_paths_that_could_match_another_route(
    shared: GatewayProcess, backends: Backends, path: str
) -> None:
    assert get_status_line(shared, path).startswith(b"HTTP/1.1 400 ")
    assert backends.echo.requests == []
