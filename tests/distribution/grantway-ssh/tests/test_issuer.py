"""The client and the issuer, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import asyncssh
import pytest
from grantway_ssh import GRANT_TYPE, SshAssertion, key_file, ssh_agent
from grantway_ssh.grant import NAMESPACE, signed_text
from grantway_ssh.issuer import LIFETIME

import grantway
from grantway.testing import FrozenClock
from grantway_plugins.issuer import IssuerServer, IssuerSettings

from .conftest import PRINCIPAL, new_key, register


def redeem(client: grantway.Client, assertion: str, principal: str = PRINCIPAL) -> grantway.Token:
    return client.create_token(grant_type=GRANT_TYPE, principal=principal, assertion=assertion)


def test_issues_a_token_for_a_signature(client: grantway.Client, assertion: SshAssertion) -> None:
    token = client.create_token(grant_type=GRANT_TYPE, **assertion.params)
    assert token.scope == ("deploy",)
    assert token.refresh_token is None


def test_an_asynchronous_client_gets_tokens_at_once(
    client: grantway.Client, assertion: SshAssertion
) -> None:
    async def ask() -> list[grantway.Token]:
        try:
            return await asyncio.gather(
                *(
                    client.create_token_async(grant_type=GRANT_TYPE, **assertion.params)
                    for _ in range(4)
                )
            )
        finally:
            await client.aclose()

    assert len({token.access_token for token in asyncio.run(ask())}) == 4


def test_a_credential_gets_the_next_token_with_another_nonce(
    client: grantway.Client, assertion: SshAssertion
) -> None:
    credential = client.credential(grant_type=GRANT_TYPE, subject="alice", **assertion.params)
    first = credential.token()
    credential.invalidate(first)
    assert credential.token() != first


class Lossy(grantway.HttpTransport):
    """A transport that loses the first responses of the token endpoint."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.lost = lost
        self.assertions: list[bytes] = []

    def send(
        self, request: grantway.HttpRequest, deadline: grantway.Deadline
    ) -> grantway.HttpResponse:
        response = super().send(request, deadline)
        if b"assertion=" in request.body:
            self.assertions.append(request.body)
            if len(self.assertions) <= self.lost:
                raise grantway.OutcomeUnknownError("The connection was reset.")
        return response


def test_a_retry_after_a_lost_response_has_a_new_nonce_and_signature(
    server: IssuerServer, client_id: str, registry: grantway.Registry, key: Path
) -> None:
    transport = Lossy(2)
    with grantway.Client(
        grantway.Provider.discover(server.url),
        client_id=client_id,
        registry=registry,
        transport=transport,
        retry=grantway.RetryPolicy(base=0),
    ) as client:
        assertion = SshAssertion(client, PRINCIPAL, key_file(key))
        assert client.create_token(grant_type=GRANT_TYPE, **assertion.params)
    assert len(set(transport.assertions)) == 3


def test_a_nonce_is_used_once_on_two_issuers(
    client: grantway.Client,
    assertion: SshAssertion,
    folder: Path,
    server: IssuerServer,
    registry: grantway.Registry,
) -> None:
    settings = IssuerSettings(issuer=server.url, registration="unrestricted")
    with IssuerServer(settings, database=folder / "issuer.db", registry=registry) as second:
        provider = grantway.Provider(f"{second.address}/token", issuer=server.url)
        other = grantway.Client(provider, client_id=client.client_id, registry=registry)

        def attempt(each: grantway.Client, signed: str) -> bool:
            try:
                redeem(each, signed)
            except grantway.InvalidGrantException as error:
                return error.error_description != "The nonce is unknown, has expired or was used"
            return True

        with other, ThreadPoolExecutor(4) as threads:
            for _ in range(3):
                signed = assertion.read().value
                done = threads.map(attempt, [client, other] * 2, [signed] * 4)
                assert sum(done) == 1


def test_a_nonce_is_used_even_by_a_wrong_signature(
    client: grantway.Client, assertion: SshAssertion
) -> None:
    signed = assertion.read().value
    with pytest.raises(grantway.InvalidGrantException, match="not of an allowed key"):
        redeem(client, f"{signed[:-8]}AAAA{signed[-4:]}")
    with pytest.raises(grantway.InvalidGrantException, match="was used"):
        redeem(client, signed)


def test_a_nonce_is_bound_to_the_client(
    server: IssuerServer,
    client: grantway.Client,
    assertion: SshAssertion,
    registry: grantway.Registry,
) -> None:
    with (
        grantway.Client(client.provider, client_id=register(server), registry=registry) as other,
        pytest.raises(grantway.InvalidGrantException, match="nonce is unknown"),
    ):
        redeem(other, assertion.read().value)


def test_a_nonce_expires(registry: grantway.Registry, key: Path) -> None:
    clock = FrozenClock()
    settings = IssuerSettings(registration="unrestricted")
    with IssuerServer(settings, registry=registry, clock=clock) as server:
        provider = grantway.Provider.discover(server.url)
        with grantway.Client(provider, client_id=register(server), registry=registry) as client:
            signed = SshAssertion(client, PRINCIPAL, key_file(key)).read().value
            clock.step(LIFETIME)
            with pytest.raises(grantway.InvalidGrantException, match="has expired"):
                redeem(client, signed)


def test_the_key_of_another_user_is_rejected(client: grantway.Client, tmp_path: Path) -> None:
    stranger = SshAssertion(client, PRINCIPAL, key_file(new_key(tmp_path / "mallory")))
    with pytest.raises(grantway.InvalidGrantException, match="not of an allowed key"):
        client.create_token(grant_type=GRANT_TYPE, **stranger.params)


def test_a_key_acts_for_its_own_principals_only(client: grantway.Client, key: Path) -> None:
    bob = SshAssertion(client, "bob@example.com", key_file(key))
    with pytest.raises(grantway.InvalidGrantException, match="not of an allowed key"):
        client.create_token(grant_type=GRANT_TYPE, **bob.params)


def signature(key: Path, text: bytes, namespace: str = NAMESPACE) -> bytes:
    return asyncssh.create_sshsig(str(key), text, namespace=namespace, raw=True)


FORGERIES: dict[str, Callable[[Path, bytes], bytes]] = {
    "namespace": lambda key, text: signature(key, text, "git"),
    "hash": lambda key, text: signature(key, text).replace(b"\x06sha512", b"\x06sha384"),
    "text": lambda key, text: signature(key, text + b"\n"),
    "cut": lambda key, text: signature(key, text)[:-1],
    "header": lambda _key, _text: b"SSHSIG\x00\x00\x00\x01",
    "empty": lambda _key, _text: b"",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_other_signatures_are_rejected(
    forge: Callable[[Path, bytes], bytes], client: grantway.Client, key: Path
) -> None:
    forged = SshAssertion(client, PRINCIPAL, partial(forge, key))
    with pytest.raises(grantway.InvalidGrantException, match="not of an allowed key"):
        client.create_token(grant_type=GRANT_TYPE, **forged.params)


def test_something_else_than_base64_is_rejected(
    client: grantway.Client, assertion: SshAssertion
) -> None:
    nonce = assertion.read().value.partition(".")[0]
    with pytest.raises(grantway.InvalidGrantException, match="not of an allowed key"):
        redeem(client, f"{nonce}.A")


def test_an_issuer_that_lost_its_list_of_keys_issues_nothing(
    client: grantway.Client, assertion: SshAssertion, allowed: Path
) -> None:
    text = allowed.read_text()
    try:
        for broken in ("", "alice@example.com", f"{PRINCIPAL} unknown-option ssh-ed25519 AAAA"):
            allowed.write_text(broken)
            with pytest.raises(grantway.InvalidGrantException):
                client.create_token(grant_type=GRANT_TYPE, **assertion.params)
    finally:
        allowed.write_text(text)
    assert client.create_token(grant_type=GRANT_TYPE, **assertion.params)


class TestOpenSsh:
    """Keys and signatures of ssh-keygen and ssh-agent."""

    pytestmark = pytest.mark.skipif(
        shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed"
    )

    @pytest.fixture
    def agent(self, key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        socket = tmp_path / "agent"
        with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as running:
            try:
                assert running.stdout is not None
                running.stdout.readline()  # it listens
                monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
                subprocess.run(["ssh-add", "-q", key], check=True, timeout=10)
                yield
            finally:
                running.terminate()

    @pytest.mark.usefixtures("agent")
    def test_the_agent_signs(self, client: grantway.Client, key: Path, tmp_path: Path) -> None:
        public = shutil.copy(key.with_suffix(".pub"), tmp_path / "alice.pub")
        signed = SshAssertion(client, PRINCIPAL, ssh_agent(public))
        assert client.create_token(grant_type=GRANT_TYPE, **signed.params)

    @pytest.mark.usefixtures("agent")
    def test_a_key_that_the_agent_does_not_have_is_an_error(
        self, client: grantway.Client, tmp_path: Path
    ) -> None:
        file = new_key(tmp_path / "other")
        file.unlink()
        signed = SshAssertion(client, PRINCIPAL, ssh_agent(file.with_suffix(".pub")))
        with pytest.raises(grantway.SecretUnavailableError, match="ssh-keygen cannot sign"):
            client.create_token(grant_type=GRANT_TYPE, **signed.params)

    @pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
    def test_ssh_keygen_verifies_the_signatures(self, kind: str, tmp_path: Path) -> None:
        key = new_key(tmp_path / "key", kind)
        allowed, armoured = tmp_path / "allowed", tmp_path / "signature"
        allowed.write_text(f"{PRINCIPAL} {key.with_suffix('.pub').read_text()}")
        text = signed_text("https://x.example", "c", PRINCIPAL, "n")
        body = base64.b64encode(key_file(key)(text)).decode()
        armoured.write_text(f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
        command = ["ssh-keygen", "-Y", "verify", "-I", PRINCIPAL, "-n", NAMESPACE]
        done = subprocess.run(
            [*command, "-f", allowed, "-s", armoured],
            input=text,
            capture_output=True,
            timeout=10,
            check=False,
        )
        assert done.returncode == 0, done.stderr
