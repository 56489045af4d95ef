"""Tests of the store ``redis`` over TLS, which Envoy provides in front of the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from grantway._exceptions import StoreUnreadableError
from grantway_plugins.stores.redis._store import RedisStore
from tests.certificates import issue
from tests.faults import free_port
from tests.plugins.stores.contract import LOCK_WAIT, WHOLE, use_once
from tests.tls_front import Certificates, tls_front
from tests.valkey import ValkeyServer, valkey_server
from tests.valkey_groups import SERVICE, cluster_group, sentinel_group
from tests.waiting import PATIENCE

#: Part of the URL of a store, with the place of the port.
SCHEMES = pytest.mark.parametrize(
    "start", ["rediss://127.0.0.1:{}/0", "rediss+cluster://127.0.0.1:{}/0"]
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.issued_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as running:
        yield running


@pytest.fixture(scope="module")
def port(
    server: ValkeyServer, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """A TCP port that accepts only TLS."""
    port = free_port()
    with tls_front(tmp_path_factory.mktemp("envoy"), certificates, {port: server.port}):
        yield port


def failure(url: str) -> str:
    """Return the error of a store that cannot be used, which threads and event loops share."""
    with closing(RedisStore(url, timeout=PATIENCE, failover=PATIENCE)) as store:
        with pytest.raises(StoreUnreadableError) as failed:
            store.load("key")
        with pytest.raises(StoreUnreadableError) as failed_too:
            asyncio.run(store.load_async("key"))
    assert f"{failed.value}".partition("(")[0] == f"{failed_too.value}".partition("(")[0]
    return f"{failed.value}"


def test_connects_with_tls(port: int, certificates: Certificates) -> None:
    with closing(RedisStore(f"rediss://127.0.0.1:{port}/0?{certificates.options}")) as store:
        asyncio.run(use_once(store))
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
        assert store.load("key") == WHOLE


@SCHEMES
def test_explains_certificates_without_retrying(
    port: int, certificates: Certificates, tmp_path: Path, start: str
) -> None:
    url = f"{start.format(port)}?{certificates.options}"
    other = issue(tmp_path, "other").certificate
    authority = certificates.authority.certificate
    assert "is not trusted (" in failure(url.replace(authority, other))
    # The certificate is for 127.0.0.1.
    assert "is not valid for this host" in failure(url.replace("127.0.0.1", "localhost"))


def test_explains_files_and_clear_text(
    port: int, server: ValkeyServer, certificates: Certificates
) -> None:
    url = f"rediss://127.0.0.1:{port}/0?{certificates.options}"
    missing = url.replace(certificates.client.key, "/missing.pem")
    without = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority.certificate}"
    in_clear_text = url.replace(f":{port}/", f":{server.port}/")
    for wrong, reason in (
        (missing, "a file that the URL names cannot be opened (No such file"),
        (in_clear_text, "that it expects TLS if the URL starts with rediss"),
        (f"redis://127.0.0.1:{port}/0", "must start with rediss if it expects TLS"),
    ):
        with (
            closing(RedisStore(wrong, timeout=1.0)) as store,
            pytest.raises(StoreUnreadableError) as failed,
        ):
            store.load("key")
        assert reason in f"{failed.value}"
    # TLS 1.3 clients learn only afterwards that their certificate is missing.
    with (
        closing(RedisStore(without)) as store,
        pytest.raises(StoreUnreadableError, match=r"TLS failed|cannot be reached"),
    ):
        store.load("key")


@pytest.mark.slow
def test_explains_a_sentinel_that_announces_servers_without_tls(
    certificates: Certificates, tmp_path: Path
) -> None:
    port = free_port()
    with (
        sentinel_group() as group,
        nullcontext(f"127.0.0.1:{group.primary().port}") as primary,
        tls_front(tmp_path, certificates, {port: group.sentinels[0]}),
        closing(
            RedisStore(
                f"rediss+sentinel://127.0.0.1:{port}/{SERVICE}?{certificates.options}",
                timeout=1.0,
                failover=0,
            )
        ) as store,
        pytest.raises(StoreUnreadableError) as failed,
    ):
        store.load("key")
    assert f"{primary}: it accepted no connection in time" in f"{failed.value}"


@pytest.mark.slow
def test_explains_a_cluster_that_announces_its_ports_without_tls(
    certificates: Certificates, tmp_path: Path
) -> None:
    port = free_port()
    with (
        cluster_group() as group,
        tls_front(tmp_path, certificates, {port: group.servers[0].port}),
        closing(
            RedisStore(
                f"rediss+cluster://127.0.0.1:{port}?{certificates.options}",
                timeout=1.0,
                failover=0,
            )
        ) as store,
        pytest.raises(StoreUnreadableError, match=r"no connection in time.* TLS"),
    ):
        store.lock("key", LOCK_WAIT).__enter__()
