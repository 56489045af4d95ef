"""Features of boto3's client other than operations: metadata, stubs, events, arguments, errors."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, StubAssertionError, UnStubbedResponseError
from botocore.stub import ANY, Stubber

import grantway
from grantway._exceptions import ConfigurationError, RequestInvalidError
from grantway_plugins import aws as sso_oidc
from tests import faults
from tests.aws_sessions import boto3_session
from tests.faults import Act, FaultServer
from tests.plugins.aws.aws import CALL, ours, stock

TOKEN = faults.respond(200, {"accessToken": "at", "tokenType": "Bearer"})
REGION = {"region_name": "us-east-1"}
DEAD = "http://127.0.0.1:1"


def request_of(**options: Any) -> Any:
    with (
        FaultServer(TOKEN) as server,
        sso_oidc.client(**REGION, endpoint_url=server.url, **options) as client,
    ):
        client.create_token(**CALL)
    return server.requests[0]


# --- meta and methods ---------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"])
def test_meta_is_equal(region: str) -> None:
    theirs = boto3_session().client("sso-oidc", region_name=region).meta
    with sso_oidc.client(region) as client:
        mine = client.meta
    for name in ("region_name", "endpoint_url", "partition", "method_to_api_mapping"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.service_model.operation_names == theirs.service_model.operation_names
    assert mine.service_model.service_id == theirs.service_model.service_id
    assert mine.config.retries["mode"] == theirs.config.retries["mode"]


def test_has_every_public_name_of_boto3s_client() -> None:
    theirs, mine = stock(DEAD), ours(DEAD)
    assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(mine))
    assert {name for name in dir(theirs.meta) if name[0] != "_"} <= set(dir(mine.meta))
    assert {name for name in dir(theirs.exceptions) if name[0] != "_"} <= set(dir(mine.exceptions))


ASKED: dict[str, Any] = {
    "can_paginate": lambda client: client.can_paginate("create_token"),
    "can_paginate another": lambda client: client.can_paginate("no_such_thing"),
    "get_paginator": lambda client: client.get_paginator("create_token"),
    "get_paginator another": lambda client: client.get_paginator("no_such_thing"),
    "get_waiter": lambda client: client.get_waiter("done"),
    "waiter_names": lambda client: client.waiter_names,
    "presign another": lambda client: client.generate_presigned_url("no_such_thing"),
    "an attribute": lambda client: client.no_such_thing,
    "an exception": lambda client: client.exceptions.NoSuchThing,
    "an exception by code": lambda client: client.exceptions.from_code("X").__name__[-5:],
}


@pytest.mark.parametrize("name", ASKED)
def test_helper_methods_return_the_same(name: str) -> None:
    results = []
    for make in (stock, ours):
        try:
            results.append((ASKED[name](make(DEAD)), ()))
        except Exception as error:  # noqa: BLE001 - compares whatever boto3 raises
            results.append((str(error).split(" object ")[-1], type(error).__mro__))
    (theirs, their_classes), (mine, classes) = results
    if name.startswith("an exception"):
        mine = theirs  # ours also lists grantway's own exceptions
    assert mine == theirs
    assert set(their_classes) <= set(classes)


def test_rejects_presigned_urls_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match="body of a POST request"):
        ours(DEAD).generate_presigned_url("create_token", Params=CALL)


# --- stubs and events ---------------------------------------------------------------------------


def test_stubber_works_as_with_boto3() -> None:
    response = {"accessToken": "at", "tokenType": "Bearer", "expiresIn": 5}
    for make in (stock, ours):
        client = make(DEAD)
        with Stubber(client) as stubber:
            stubber.add_response("create_token", response, {**CALL, "clientSecret": ANY})
            stubber.add_client_error(
                "create_token",
                "AuthorizationPendingException",
                "Not yet.",
                400,
                modeled_fields={"error": "authorization_pending"},
            )
            stubber.add_client_error("register_client", "ThrottlingException", "Slow.", 429)
            stubber.add_response(
                "start_device_authorization", {"deviceCode": "d"}, {"clientId": "other"}
            )
            assert client.create_token(**CALL) == response
            with pytest.raises(client.exceptions.AuthorizationPendingException) as pending:
                client.create_token(**CALL)
            with pytest.raises(ClientError) as slow:
                client.register_client(clientName="n", clientType="public")
            with pytest.raises(StubAssertionError):
                client.start_device_authorization(clientId="c", clientSecret="s", startUrl="u")
            stubber._queue.clear()
            with pytest.raises(UnStubbedResponseError):
                client.create_token(**CALL)
            stubber.assert_no_pending_responses()
        assert pending.value.response["error"] == "authorization_pending"
        assert pending.value.response["Error"] == {
            "Message": "Not yet.",
            "Code": "AuthorizationPendingException",
        }
        assert str(slow.value) == (
            "An error occurred (ThrottlingException) when calling the RegisterClient operation: "
            "Slow."
        )
        assert slow.value.response["ResponseMetadata"] == {"HTTPStatusCode": 429}
        # Without the stub, requests go to the service again.
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            client.create_token(**CALL)


def test_a_stubbed_region_error_has_its_members() -> None:
    client = ours(DEAD)
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "create_token_with_iam",
            "InvalidRequestRegionException",
            modeled_fields={"endpoint": "https://x", "region": "eu-west-1"},
        )
        with pytest.raises(client.exceptions.InvalidRequestRegionException) as caught:
            client.create_token_with_iam(clientId="arn", grantType="refresh_token")
    assert (caught.value.endpoint, caught.value.region) == ("https://x", "eu-west-1")
    assert caught.value.response["region"] == "eu-west-1"


def test_handlers_see_and_change_a_call_as_with_boto3() -> None:
    seen: list[list[tuple[str, str]]] = []
    headers = []
    for make in (stock, ours):
        with FaultServer(TOKEN, faults.reset_after_request) as server:
            client = make(server.url)
            events: list[tuple[str, str]] = []

            def note(event_name: str, model: Any = None, **_: Any) -> None:
                events.append((event_name, getattr(model, "name", "")))  # noqa: B023

            def add(params: dict[str, Any], **_: Any) -> None:
                params["headers"]["X-Mine"] = "yes"

            def complete(params: dict[str, Any], **_: Any) -> None:
                params.setdefault("clientId", "client-1")

            for event in (
                "provide-client-params",
                "before-parameter-build",
                "before-call",
                "after-call",
            ):
                client.meta.events.register(f"{event}.*.*", note)
            client.meta.events.register("before-call.sso-oidc.CreateToken", add)
            client.meta.events.register("before-parameter-build.sso-oidc.CreateToken", complete)
            client.meta.events.register_last(
                "after-call-error.sso-oidc", note, unique_id="the-error"
            )
            client.create_token(**{name: CALL[name] for name in CALL if name != "clientId"})
            with pytest.raises(botocore.exceptions.ConnectionClosedError):
                client.create_token(**{**CALL, "grantType": "authorization_code"})
            client.close()
        seen.append(events)
        headers.append(server.requests[0].headers["x-mine"])
    assert seen[0] == seen[1]
    assert headers == ["yes", "yes"]


@pytest.mark.parametrize("event", ["before-send.sso-oidc.CreateToken", "needs-retry.*", "creating"])
def test_rejects_handlers_for_events_that_it_does_not_emit(event: str) -> None:
    with pytest.raises(ConfigurationError, match="does not emit"):
        ours(DEAD).meta.events.register(event, lambda **_: None)


def test_rejects_a_handler_that_changes_the_url() -> None:
    client = ours(DEAD)

    def redirect(params: dict[str, Any], **_: Any) -> None:
        params["url"] = "http://127.0.0.1:2/token"

    client.meta.events.register("before-call", redirect)
    with pytest.raises(ConfigurationError, match="url"):
        client.create_token(**CALL)


# --- arguments ----------------------------------------------------------------------------------


def test_extends_or_replaces_the_user_agent() -> None:
    usual = request_of().headers["user-agent"]
    extended = request_of(config=Config(user_agent_extra="tool/1", user_agent_appid="app-1"))
    assert extended.headers["user-agent"] == f"{usual} tool/1 app/app-1"
    replaced = request_of(config=Config(user_agent="mine/2", user_agent_extra="tool/1"))
    assert replaced.headers["user-agent"] == "mine/2 tool/1"


def test_takes_region_and_timeouts_from_the_config() -> None:
    config = Config(region_name="eu-south-2", read_timeout=0.2, retries={"total_max_attempts": 1})
    with FaultServer(faults.stall) as server:
        client = sso_oidc.client(endpoint_url=server.url, config=config)
        assert client.meta.region_name == "eu-south-2"
        with pytest.raises(botocore.exceptions.ReadTimeoutError) as caught:
            client.create_token(**CALL)
        client.close()
    assert isinstance(caught.value, grantway.OutcomeUnknownError)


@pytest.mark.parametrize("source", ["config", "environment"])
def test_uses_a_proxy(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(TOKEN) as proxy:
        config = None
        if source == "config":
            config = Config(proxies={"http": proxy.url})
        else:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with sso_oidc.client(**REGION, endpoint_url="http://localhost:9", config=config) as client:
            client.create_token(**CALL)
    assert proxy.requests[0].target == "http://localhost:9/token"
    monkeypatch.setenv("NO_PROXY", "localhost")
    if source == "environment":
        with (
            sso_oidc.client(**REGION, endpoint_url="http://localhost:9") as client,
            pytest.raises(botocore.exceptions.EndpointConnectionError),
        ):
            client.create_token(**CALL)


@pytest.mark.parametrize("source", ["verify", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_trusts_a_private_authority(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = faults.certificate(tmp_path)
    options: dict[str, Any] = {}
    if source == "verify":
        options["verify"] = trusted
    elif source == "profile":
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {trusted}\n", encoding="utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    else:
        monkeypatch.setenv(source, trusted)
    with FaultServer(TOKEN, tls=context) as server:
        with sso_oidc.client(**REGION, endpoint_url=server.url, **options) as client:
            assert client.create_token(**CALL)["accessToken"] == "at"
        with (
            sso_oidc.client(**REGION, endpoint_url=server.url, verify=True) as client,
            pytest.raises(botocore.exceptions.SSLError) as caught,
        ):
            client.create_token(**CALL)
    assert isinstance(caught.value, grantway.ConnectionFailedError)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"verify": False}, "verify"),
        ({"verify": "/no/such/file"}, "verify"),
        ({"verify": ""}, "verify"),
        ({"verify": 0}, "verify"),
        ({"verify": 1}, "verify"),
        ({"verify": b"/etc/ssl/cert.pem"}, "verify"),
        ({"api_version": "2012-01-01"}, "api_version"),
        ({"config": {"retries": {"max_attempts": 1}}}, "config"),
        ({"config": {}}, "config"),
        ({"config": Config(max_pool_connections=-1)}, r"config\.max_pool_connections"),
        ({"config": Config(max_pool_connections=10**9)}, r"config\.max_pool_connections"),
        ({"config": Config(retries={"total_max_attempts": 2.7})}, "max_attempts"),
        ({"config": Config(retries={"total_max_attempts": math.inf})}, "max_attempts"),
        ({"config": Config(user_agent_extra="x\r\nHost: y")}, r"config\.user_agent_extra"),
        ({"config": Config(user_agent="J\u00f3zef")}, r"config\.user_agent"),
        ({"aws_access_key_id": "AKIA"}, "aws_secret_access_key"),
        ({"config": Config(parameter_validation=False)}, "parameter_validation"),
        ({"config": Config(proxies_config={"proxy_ca_bundle": "x"})}, "proxy_ca_bundle"),
        ({"config": Config(client_cert="/no/such/file")}, "client_certificate"),
        ({"config": Config(proxies={"https": "no://127.0.0.1:1"})}, "proxies"),
    ],
    ids=lambda value: "config" if "config" in value else str(value),
)
def test_rejects_unsupported_arguments(options: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        sso_oidc.client("us-east-1", **options)


def test_accepts_boto3_arguments_that_have_no_effect() -> None:
    config = Config(
        signature_version="v4", s3={"addressing_style": "path"}, tcp_keepalive=True, proxies={}
    )
    for make in (
        boto3_session().client,
        lambda _name, **options: sso_oidc.client(**options),
    ):
        client = make(
            "sso-oidc",
            **REGION,
            api_version="2019-06-10",
            use_ssl=True,
            verify=None,
            aws_account_id="123456789012",
            aws_access_key_id="AKIA",
            aws_secret_access_key="very-secret",
            aws_session_token="very-secret",
            config=config,
        )
        assert client.meta.endpoint_url == "https://oidc.us-east-1.amazonaws.com"
        client.close()


def test_signs_create_token_with_iam_with_the_given_credentials() -> None:
    response = {
        "accessToken": "at",
        "tokenType": "Bearer",
        "expiresIn": 3600,
        "refreshToken": "rt",
        "idToken": "id",
        "issuedTokenType": "urn:ietf:params:oauth:token-type:refresh_token",
        "scope": ["openid", "aws"],
        "awsAdditionalDetails": {"identityContext": "context"},
    }
    params = {
        "clientId": "arn:aws:sso::1:application/i/a",
        "grantType": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "assertion-very-secret",
        "scope": ["openid"],
    }
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s", "aws_session_token": "t"}
    seen = []
    for make in (
        boto3_session().client,
        lambda _name, **options: sso_oidc.client(**options),
    ):
        with FaultServer(faults.respond(200, response)) as server:
            client = make("sso-oidc", **REGION, endpoint_url=server.url, **keys)
            result = client.create_token_with_iam(**params)
            client.close()
        (request,) = server.requests
        signed = request.headers["authorization"].partition("SignedHeaders=")[0]
        seen.append(
            (result, request.target, request.json, signed, request.headers["x-amz-security-token"])
        )
    assert seen[0] == seen[1]


# --- errors by botocore's classes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (faults.stall, "ReadTimeoutError"),
        (faults.reset_after_request, "ConnectionClosedError"),
        (faults.close_after_request, "ConnectionClosedError"),
        (faults.half, "ConnectionClosedError"),
    ],
    ids=["stall", "reset", "close", "half"],
)
def test_a_lost_response_raises_botocores_class(act: Act, name: str) -> None:
    config = Config(read_timeout=0.3, retries={"total_max_attempts": 1})
    with FaultServer(act if act is not faults.half else faults.chunk_cut) as server:
        client = sso_oidc.client(**REGION, endpoint_url=server.url, config=config)
        with pytest.raises(getattr(botocore.exceptions, name)) as caught:
            client.create_token(**CALL)
        client.close()
    assert isinstance(caught.value, botocore.exceptions.HTTPClientError)
    assert isinstance(caught.value, grantway.OutcomeUnknownError)
    assert caught.value.kwargs


@contextmanager
def full() -> Iterator[str]:
    """Yield the address of a server that accepts no connection because its queue is full."""
    with contextlib.ExitStack() as waiting:
        server = waiting.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(64):
            waiter = waiting.enter_context(socket.socket())
            waiter.settimeout(0.3)
            try:
                waiter.connect(server.getsockname())
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue never filled")
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_connect_timeout_raises_botocores_class() -> None:
    config = Config(connect_timeout=0.3, retries={"total_max_attempts": 1})
    with full() as url:
        boto = boto3_session().client("sso-oidc", **REGION, endpoint_url=url, config=config)
        with pytest.raises(botocore.exceptions.ConnectTimeoutError):
            boto.create_token(**CALL)
        with (
            sso_oidc.client(**REGION, endpoint_url=url, config=config) as client,
            pytest.raises(botocore.exceptions.ConnectTimeoutError) as caught,
        ):
            client.create_token(**CALL)
    assert isinstance(caught.value, grantway.ConnectionFailedError)
    assert caught.value.kwargs


def test_an_unreachable_proxy_raises_botocores_class() -> None:
    config = Config(proxies={"https": DEAD}, retries={"total_max_attempts": 1})
    client = sso_oidc.client(**REGION, config=config)
    with pytest.raises(botocore.exceptions.ProxyConnectionError):
        client.create_token(**CALL)
    client.close()


def test_without_botocore_an_error_response_is_a_token_error() -> None:
    code = """
import sys
from grantway_plugins import aws as sso_oidc
client = sso_oidc.client("eu-west-1", sys.argv[1])
for _ in range(2):
    try:
        client.register_client(clientName="n", clientType="public")
    except client.exceptions.ClientError as error:
        print(error.response["Error"]["Code"], type(error).__name__)
for ask in (client.get_paginator, client.generate_presigned_url):
    try:
        ask("create_token")
    except ValueError as error:
        print(type(error).__name__)
client.close()
print("botocore" in sys.modules)
"""
    page = faults.respond(404, b"<html>not here</html>")
    with FaultServer(page, faults.respond(429, b"")) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.split() == [
        "404",
        "ResponseInvalidError",
        "429",
        "ProviderUnavailableError",
        "RequestInvalidError",
        "ConfigurationError",
        "False",
    ]


def test_an_error_before_sending_is_a_request_error() -> None:
    with pytest.raises(botocore.exceptions.OperationNotPageableError) as caught:
        ours(DEAD).get_paginator("create_token")
    assert isinstance(caught.value, RequestInvalidError)


def test_a_rejected_parameter_has_a_report() -> None:
    for make in (stock, ours):
        with pytest.raises(botocore.exceptions.ParamValidationError) as caught:
            make(DEAD).create_token(clientId="c", clientSecret="s")
        assert 'Missing required parameter in input: "grantType"' in caught.value.kwargs["report"]


def test_a_client_cannot_be_pickled() -> None:
    for make in (stock, ours):
        with pytest.raises(Exception, match="pickle"):
            pickle.dumps(make(DEAD))
    with pytest.raises(TypeError, match="each process"):
        copy.copy(ours(DEAD))


def test_uses_an_explicit_proxy_for_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    with FaultServer(TOKEN) as proxy:
        config = Config(proxies={"http": proxy.url})
        with sso_oidc.client(**REGION, endpoint_url="http://localhost:9", config=config) as client:
            client.create_token(**CALL)
    assert proxy.requests[0].target == "http://localhost:9/token"
