"""Tests of boto3 clients for services with bearer tokens, against a local resource."""

from __future__ import annotations

import io
import json
import os
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.tokens import FrozenAuthToken

import grantway
from grantway_plugins.auth import StepUpChallenge, StepUpRequiredError
from grantway_plugins.aws import BotocoreTokenProvider
from tests.aws_sessions import botocore_session
from tests.certificates import issue
from tests.plugins.auth.resource import Application, Resource, Responses

Serve = Callable[..., Resource]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Create a certificate that boto3 trusts, and ignore the AWS configuration of the machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = issue(tmp_path, "resource")
    monkeypatch.setenv("AWS_CA_BUNDLE", made.certificate)
    return made.paths


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def serve(
    application: Application, certificate: tuple[str, str], opened: ExitStack
) -> Callable[[Responses | None], Resource]:
    def start(responses: Responses | None = None) -> Resource:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        return opened.enter_context(Resource(application.active, responses, tls=tls))

    return start


@pytest.fixture
def connect(opened: ExitStack) -> Callable[..., Any]:
    """Create a client of a service with a session that has the token provider."""

    def connect(
        provider: BotocoreTokenProvider,
        url: str,
        service: str = "codecatalyst",
        **config: Any,
    ) -> Any:
        core = botocore_session()
        provider.install(core)
        session = boto3.Session(botocore_session=core, region_name="us-west-2")
        client = session.client(
            service, endpoint_url=url, config=Config(signature_version="bearer", **config)
        )
        opened.callback(client.close)
        return client

    return connect


def test_a_call_sends_the_token(
    application: Application, serve: Serve, connect: Callable[..., Any]
) -> None:
    credential, resource = application.credential(), serve()
    client = connect(BotocoreTokenProvider(credential), resource.url)
    assert application.tokens == []  # creating a client requests no token
    client.verify_session()
    client.list_spaces()
    assert resource.authorizations == [f"Bearer {application.tokens[0]}"] * 2
    assert len(application.tokens) == 1


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_retries_a_call_with_a_new_token_after_a_revocation(
    application: Application, serve: Serve, connect: Callable[..., Any], mode: str
) -> None:
    credential, resource = application.credential(), serve()
    client = connect(BotocoreTokenProvider(credential), resource.url, retries={"mode": mode})
    for _ in range(2):
        application.revoke(credential.token())
        response = client.list_spaces(nextToken="more")
        assert response["ResponseMetadata"]["RetryAttempts"] == 1
    first, second, third = (f"Bearer {token}" for token in application.tokens)
    assert resource.authorizations == [first, second, second, third]
    assert {json.loads(seen.body)["nextToken"] for seen in resource.seen} == {"more"}


@pytest.mark.parametrize(
    ("start", "statuses"), [(0, [200]), (3, [401, 200])], ids=["whole", "from its middle"]
)
def test_sends_a_file_again_only_if_botocore_rewinds_it_correctly(
    application: Application,
    serve: Serve,
    connect: Callable[..., Any],
    start: int,
    statuses: list[int],
) -> None:
    """Botocore rewinds to the beginning of the file, which is wrong for other start positions."""
    credential, resource = application.credential(), serve()
    client = connect(BotocoreTokenProvider(credential), resource.url, "bedrock-runtime")
    application.revoke(credential.token())
    for status in statuses:
        body = io.BytesIO(b"0123456789")
        body.seek(start)
        if status == 200:
            client.invoke_model(modelId="m", body=body)
            continue
        with pytest.raises(ClientError):
            client.invoke_model(modelId="m", body=body)
    assert [seen.body for seen in resource.seen] == [b"0123456789"[start:]] * 2
    assert len(application.tokens) == 2


@pytest.mark.parametrize(
    ("received", "sent"),
    [((401, 'Bearer error="invalid_request"'), 1), ((403, ""), 1), ((401, ""), 2)],
)
def test_a_persistent_error_is_a_client_error(
    application: Application,
    serve: Serve,
    connect: Callable[..., Any],
    received: tuple[int, str],
    sent: int,
) -> None:
    status, challenge = received
    resource = serve({"/session": (status, {"WWW-Authenticate": challenge})})
    client = connect(BotocoreTokenProvider(application.credential()), resource.url)
    with pytest.raises(ClientError) as caught:
        client.verify_session()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert len(resource.seen) == len(application.tokens) == sent


def test_raises_an_error_if_a_service_requires_more_scope(
    application: Application, serve: Serve, connect: Callable[..., Any]
) -> None:
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="write"'}
    resource = serve({"/session": (403, challenge)})
    client = connect(BotocoreTokenProvider(application.credential()), resource.url)
    with pytest.raises(StepUpRequiredError) as caught:
        client.verify_session()
    assert caught.value.challenge.scope == ("write",)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert len(resource.seen) == 1


def test_retries_with_the_token_of_the_callback(
    application: Application, serve: Serve, connect: Callable[..., Any]
) -> None:
    """The callback's token is used for one request, unless the credential gets it."""
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="write"'}
    resource = serve({"/session": (403, challenge)})
    credential, stronger = application.credential(), application.credential()

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        resource._responses.clear()
        return stronger.token()

    provider = BotocoreTokenProvider(credential, on_step_up=on_step_up)
    client = connect(provider, resource.url)
    client.verify_session()
    client.verify_session()
    first, second = (f"Bearer {each.token().access_token}" for each in (credential, stronger))
    assert resource.authorizations == [first, second, first]


def test_threads_with_a_revoked_token_cause_one_refresh(
    application: Application, serve: Serve, connect: Callable[..., Any]
) -> None:
    credential, resource = application.credential(), serve()
    provider = BotocoreTokenProvider(credential)
    client = connect(provider, resource.url, max_pool_connections=64)
    application.revoke(credential.token())
    with ThreadPoolExecutor(64) as pool:
        calls = [pool.submit(client.list_spaces) for _ in range(64)]
        assert {each.result()["ResponseMetadata"]["HTTPStatusCode"] for each in calls} == {200}
    assert len(application.tokens) == 2
    assert resource.authorizations.count(f"Bearer {application.tokens[1]}") == 64


def test_sends_the_token_only_to_the_allowed_origins(
    application: Application, serve: Serve, connect: Callable[..., Any]
) -> None:
    resource, credential = serve(), application.credential()
    provider = BotocoreTokenProvider(credential, origins=["https://codecatalyst.global.api.aws"])
    client = connect(provider, resource.url)
    with pytest.raises(grantway.ConfigurationError, match="is for https://codecatalyst"):
        client.verify_session()
    assert resource.seen == []


def test_provides_the_token_only_to_the_given_services(application: Application) -> None:
    provider = BotocoreTokenProvider(application.credential(), services=["codecatalyst"])
    session = botocore_session()
    provider.install(session)
    chain = session.get_component("token_provider")
    assert chain.get_provider("grantway") is provider
    assert chain.load_token(signing_name="codecatalyst") is not None
    assert provider.load_token(signing_name="bedrock") is None
    assert provider.load_token() is None


def test_keeps_another_bearer_token_of_the_session(
    application: Application,
    serve: Serve,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "theirs")
    resource, credential = serve(), application.credential()
    provider = BotocoreTokenProvider(credential, services=["codecatalyst"])
    client = connect(provider, resource.url, "bedrock-runtime")
    with pytest.raises(ClientError):
        client.invoke_model(modelId="m", body=b"x")
    assert resource.authorizations == ["Bearer theirs"]
    assert application.tokens == []


def test_botocore_gets_the_expiry_and_the_repr_hides_the_token(application: Application) -> None:
    credential = application.credential()
    token = credential.token()
    provider = BotocoreTokenProvider(credential)
    frozen = provider.load_token().get_frozen_token()
    assert isinstance(frozen, FrozenAuthToken)
    assert frozen.token == token.access_token
    assert frozen.expiration is not None
    assert frozen.expiration.timestamp() == pytest.approx(token.expires_at)
    shown = f"{frozen!r} {frozen} {provider!r} {provider.load_token()!r}"
    assert token.access_token not in shown
    credential.accept(replace(token, expires_at=None, expires_in=None))
    assert provider.load_token().get_frozen_token().expiration is None


def test_rejects_a_token_of_another_type(application: Application) -> None:
    credential = application.credential()
    credential.accept(replace(credential.token(), token_type="DPoP"))
    with pytest.raises(grantway.ConfigurationError, match="Bearer tokens, not DPoP"):
        BotocoreTokenProvider(credential).load_token().get_frozen_token()
