"""TLS: certificates that are replaced while clients connect, and files that cannot be used."""

from __future__ import annotations

import datetime as dt
import http.client
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from grantway._exceptions import ConfigurationError
from grantway_plugins.server._tls.certificate import ServerCertificate, server_certificate
from tests.certificates import Identity, Pki, digest
from tests.waiting import PATIENCE, until

from .listening import echo, listening

LOGGER = "grantway.tls"
PLAIN = serialization.NoEncryption()


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@contextmanager
def serving(pki: Pki, identity: Identity) -> Iterator[tuple[int, ServerCertificate]]:
    pki.install(identity)
    certificate = ServerCertificate(*pki.files)
    with listening(echo, certificate=certificate) as port:
        yield port, certificate


def test_a_replaced_certificate_is_used_and_no_connection_fails(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = pki.issue("first"), pki.issue("second")
    failed: list[Exception] = []
    answered = 0
    stop = threading.Event()

    def keep_connecting(port: int) -> None:
        nonlocal answered
        while not stop.is_set():
            connection = pki.connect(port)
            try:
                connection.request("GET", "/")
                assert connection.getresponse().read()
                answered += 1
            except Exception as error:  # noqa: BLE001 - the test reports it
                failed.append(error)
            finally:
                connection.close()

    with caplog.at_level(logging.INFO, LOGGER), serving(pki, first) as (port, certificate):
        kept = pki.connect(port)
        kept.request("GET", "/")
        assert kept.getresponse().read()
        same = kept.sock
        client = threading.Thread(target=keep_connecting, args=(port,))
        client.start()
        assert pki.shown(port) == digest(first)
        pki.install(second)
        until(lambda: pki.shown(port), digest(second).__eq__)
        kept.request("GET", "/")
        assert kept.getresponse().read()
        assert kept.sock is same
        kept.close()
        stop.set()
        client.join(PATIENCE)
    assert failed == []
    assert answered > 3
    assert certificate.failures == 0
    expiry = second.x509.not_valid_after_utc
    assert certificate.not_after == expiry.timestamp()
    assert f"expires at {expiry:%Y-%m-%dT%H:%M:%S}Z" in caplog.messages[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a privilege for symbolic links")
def test_follows_the_symbolic_links_of_kubernetes(pki: Pki) -> None:
    first, second = pki.issue("first"), pki.issue("second")
    volume = pki.folder / "volume"
    volume.mkdir()
    for number, identity in enumerate((first, second)):
        (volume / f"..{number}").mkdir()
        for source, name in zip(identity.paths, ("tls.crt", "tls.key"), strict=True):
            (volume / f"..{number}" / name).write_bytes(Path(source).read_bytes())
    (volume / "..data").symlink_to("..0")
    for name in ("tls.crt", "tls.key"):
        (volume / name).symlink_to(Path("..data") / name)
    certificate = ServerCertificate(volume / "tls.crt", volume / "tls.key")
    with listening(echo, certificate=certificate) as port:
        assert pki.shown(port) == digest(first)
        (volume / "..data_tmp").symlink_to("..1")
        (volume / "..data_tmp").replace(volume / "..data")
        until(lambda: pki.shown(port), digest(second).__eq__)


def _another_key(pki: Pki) -> None:
    pki.files[1].write_bytes(Path(pki.issue("other").key).read_bytes())


def _pem(key: PrivateKeyTypes, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _key_of_another_type(pki: Pki) -> None:
    pki.files[1].write_bytes(_pem(rsa.generate_private_key(65537, 2048), PLAIN))


def _weak_pair(pki: Pki) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    name = pki.authority.x509.subject
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(weak.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(weak, hashes.SHA256())
    )
    pki.files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pki.files[1].write_bytes(_pem(weak, PLAIN))


def _encrypted_key(pki: Pki) -> None:
    locked = serialization.BestAvailableEncryption(b"secret")
    pki.files[1].write_bytes(_pem(pki.issue("locked").private, locked))


BROKEN: dict[str, tuple[Callable[[Pki], object], str]] = {
    "another key": (_another_key, "does not belong to the certificate"),
    "a key of another type": (_key_of_another_type, "does not belong to the certificate"),
    "a weak key": (_weak_pair, "cannot be used (EE_KEY_TOO_SMALL); replace both files"),
    "an encrypted key": (_encrypted_key, "is encrypted; store the key without a password"),
    "no key": (lambda pki: pki.files[1].write_text("nothing"), "has no private key"),
    "a missing key": (lambda pki: pki.files[1].unlink(), "cannot be read (No such file"),
    "no certificate": (lambda pki: pki.files[0].write_text("nothing"), "has no certificate"),
    "a missing certificate": (lambda pki: pki.files[0].unlink(), "cannot be read (No such file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_keeps_the_previous_certificate_if_the_new_one_cannot_be_used(
    pki: Pki, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    breaks, says = BROKEN[name]
    first = pki.issue("first")
    pki.install(first)
    certificate = ServerCertificate(*pki.files)
    before = certificate.context
    breaks(pki)
    for _ in range(4):
        certificate.check()
    assert certificate.context is before
    (message,) = caplog.messages
    assert "the previous one, which expires at" in message
    assert says in message
    assert str(pki.folder) in message
    assert certificate.failures == 1
    with pytest.raises(ConfigurationError) as raised:
        ServerCertificate(*pki.files)
    assert says in raised.value.message
    second = pki.issue("second")
    pki.install(second)
    for _ in range(2):
        certificate.check()
    assert certificate.context is not before


def test_loads_files_that_change_one_after_the_other_once(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = pki.issue("first"), pki.issue("second")
    pki.install(first)
    certificate = ServerCertificate(*pki.files)
    for source, target in zip(second.paths, pki.files, strict=True):
        target.write_bytes(Path(source).read_bytes())
        certificate.check()
    certificate.check()
    assert certificate.failures == 0
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("left", "says"),
    [(dt.timedelta(hours=1), "expires at"), (dt.timedelta(hours=-1), "expired at")],
)
def test_warns_once_a_day_before_the_expiry(
    pki: Pki, left: dt.timedelta, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    pki.install(pki.issue("short", left=left))
    certificate = ServerCertificate(*pki.files)
    for _ in range(3):
        certificate.check()
    (message,) = caplog.messages
    assert says in message
    assert "renew it" in message


def test_a_key_needs_a_certificate_and_one_file_may_hold_both(pki: Pki) -> None:
    assert server_certificate(None, None) is None
    with pytest.raises(ConfigurationError, match="tls_key requires tls_certificate"):
        server_certificate(None, pki.files[1])
    identity = pki.issue("both")
    both = pki.folder / "both.pem"
    both.write_bytes(b"".join(Path(each).read_bytes() for each in identity.paths))
    assert server_certificate(both, None) is not None


def test_connections_in_the_handshake_count_and_make_room_for_others(pki: Pki) -> None:
    pki.install(pki.issue("server"))
    certificate = ServerCertificate(*pki.files)
    with listening(echo, certificate=certificate, connections=3) as port, ExitStack() as opened:
        silent = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            for _ in range(6)
        ]
        connection = pki.connect(port)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        assert silent[0].recv(1) == b""  # the oldest made room


def test_ends_a_handshake_that_takes_too_long(pki: Pki) -> None:
    pki.install(pki.issue("server"))
    certificate = ServerCertificate(*pki.files)
    with (
        listening(echo, certificate=certificate, header_seconds=0.2) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as silent,
    ):
        assert silent.recv(1) == b""


def test_idle_clients_do_not_delay_the_stop(pki: Pki) -> None:
    pki.install(pki.issue("server"))
    with listening(echo, certificate=ServerCertificate(*pki.files)) as port:
        connection = pki.connect(port)
        connection.request("GET", "/")
        assert connection.getresponse().read()
        begun = time.monotonic()
    assert time.monotonic() - begun < 5  # the grace period is ten seconds
    connection.close()


def test_rejects_plain_http_and_old_versions_of_tls(pki: Pki) -> None:
    pki.install(pki.issue("server"))
    with listening(echo, certificate=ServerCertificate(*pki.files)) as port:
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        plain.request("GET", "/")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()
        pki.trust.minimum_version = ssl.TLSVersion.TLSv1_2
        assert pki.shown(port)
    assert ServerCertificate(*pki.files).context.minimum_version >= ssl.TLSVersion.TLSv1_2
