"""A transport that connects only to hosts on the public internet."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from grantway import ConnectionFailedError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._transport.public_addresses import is_public
from grantway._transport.transport import HttpTransport
from tests import faults
from tests.certificates import Identity, issue
from tests.faults import FaultServer
from tests.waiting import PATIENCE


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2001:db8::1",
    ],
)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)


Send = Callable[[HttpTransport, HttpRequest], object]


def blocking(transport: HttpTransport, request: HttpRequest) -> object:
    return transport.send(request, Deadline(PATIENCE))


def in_event_loop(transport: HttpTransport, request: HttpRequest) -> object:
    return asyncio.run(transport.send_async(request, Deadline(PATIENCE)))


@pytest.mark.parametrize("send", [blocking, in_event_loop])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1"])
def test_a_private_host_gets_no_connection(send: Send, host: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://{host}:{server.getsockname()[1]}/"
        transport = HttpTransport(public_only=True, proxies={})
        with pytest.raises(ConnectionFailedError, match="not on the public internet"):
            send(transport, HttpRequest("GET", url, {}))
        transport.close()
        with pytest.raises(BlockingIOError):
            server.accept()


PRIVATE = ("10.0.0.1", "[::1]", "localhost", "a.localhost", "127.1", "2130706433", "0x7f.0x1")


def test_a_private_address_is_not_requested_from_a_proxy() -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        through = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        transport = HttpTransport(public_only=True, proxies=through, no_proxy="")
        for host in PRIVATE:
            with pytest.raises(ConnectionFailedError, match="not on the public internet"):
                blocking(transport, HttpRequest("GET", f"http://{host}/", {}))
        transport.close()
        with pytest.raises(BlockingIOError):
            proxy.accept()


class Names:
    """The addresses of names, in place of the DNS.

    Attributes:
        addresses: Name -> its addresses.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self._real = socket.getaddrinfo

    def look_up(self, host: str | bytes, port: int, *args: Any, **options: Any) -> list[Any]:
        """Return what ``getaddrinfo`` returns."""
        name = host.decode() if isinstance(host, bytes) else host
        found: list[Any] = []
        for each in self.addresses.get(name, [name]):
            found += self._real(each, port, *args, **options)
        return found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    names.addresses = {"resource.test": ["127.0.0.1"], "issuer.test": ["127.0.0.1"]}
    return names


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return issue(tmp_path_factory.mktemp("authority"), "authority")


class Places:
    """A resource and an issuer, each with a certificate for its name.

    Args:
        folder: Folder for the certificates.
        authority: Issues the certificates.
    """

    def __init__(self, folder: Path, authority: Identity) -> None:
        self.trusted = authority.certificate
        self.servers = {}
        for name in ("resource.test", "issuer.test"):
            identity = issue(folder, name, authority, host=name)
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*identity.paths)
            self.servers[name] = FaultServer(faults.respond(), tls=tls)

    def url(self, name: str, *, at: str | None = None) -> str:
        """Return the URL of a name, with the port of the server that is ``at`` another one."""
        return f"https://{name}:{self.servers[at or name].port}/"

    def requests(self, name: str) -> int:
        return len(self.servers[name].requests)


@pytest.fixture
def places(tmp_path: Path, authority: Identity) -> Iterator[Places]:
    places = Places(tmp_path, authority)
    with ExitStack() as exits:
        for each in places.servers.values():
            exits.enter_context(each)
        yield places


@pytest.fixture(params=[blocking, in_event_loop])
def get(
    request: pytest.FixtureRequest, authority: Identity, names: Names
) -> Iterator[Callable[..., object]]:
    """Send a request with a transport whose user chose the resource."""
    transports: list[HttpTransport] = []

    def get(url: str, resource: str, **options: Any) -> object:
        made = HttpTransport(
            public_only=True,
            unless_private=resource,
            ca_bundle=authority.certificate,
            trust_env=False,
            **options,
        )
        transports.append(made)
        found: object = request.param(made, HttpRequest("GET", url, {}))
        return found

    yield get
    for each in transports:
        each.close()


def test_a_private_resource_may_use_a_private_issuer(
    get: Callable[..., Any], places: Places
) -> None:
    assert get(places.url("issuer.test"), places.url("resource.test")).status == 200
    assert places.requests("resource.test") == 0  # a TLS connection is enough


def test_a_private_resource_is_connected_to_once(get: Callable[..., Any], places: Places) -> None:
    assert get(places.url("resource.test"), places.url("resource.test")).status == 200
    assert places.servers["resource.test"].connections == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "[::1]"])
def test_a_private_address_of_a_resource_needs_no_connection(
    get: Callable[..., Any], places: Places, address: str
) -> None:
    assert get(places.url("issuer.test"), f"https://{address}:1/").status == 200


def test_a_lookup_does_not_prove_that_a_resource_is_private(
    get: Callable[..., Any], places: Places
) -> None:
    """The operator of a public name can have the address of a private server looked up."""
    resource = places.url("resource.test", at="issuer.test")
    with pytest.raises(ConnectionFailedError, match=r"only if resource\.test is on a private"):
        get(places.url("issuer.test"), resource)
    with pytest.raises(ConnectionFailedError, match="certificate"):
        get(resource, resource)
    assert places.requests("issuer.test") == 0


@pytest.mark.parametrize("addresses", [["8.8.8.8"], ["127.0.0.1", "8.8.8.8"]])
def test_a_public_resource_may_not_use_a_private_issuer(
    get: Callable[..., Any], places: Places, names: Names, addresses: list[str]
) -> None:
    names.addresses["resource.test"] = addresses
    with pytest.raises(ConnectionFailedError, match="not on the public internet"):
        get(places.url("issuer.test"), places.url("resource.test"))
    assert places.servers["issuer.test"].connections == 0


def test_http_and_proxies_prove_no_private_network(get: Callable[..., Any], places: Places) -> None:
    issuer = places.url("issuer.test")
    with pytest.raises(ConnectionFailedError, match="not on the public internet"):
        get(issuer, places.url("resource.test").replace("https", "http"))
    proxies = {"https://resource.test": "http://127.0.0.1:1"}
    with pytest.raises(ConnectionFailedError, match="not on the public internet"):
        get(issuer, places.url("resource.test"), proxies=proxies)
    assert places.servers["issuer.test"].connections == 0
