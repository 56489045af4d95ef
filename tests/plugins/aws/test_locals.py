"""Tracebacks that show local variables contain no secret from the drop-in client."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.credentials
import pytest
from botocore.config import Config
from botocore.stub import Stubber

import grantway
from grantway_plugins import aws
from grantway_plugins.aws import AwsIam
from grantway_plugins.aws._config.sso_config import SsoConfig
from tests import faults
from tests.faults import Act, FaultServer

MARK = "very-secret-0123456789"
#: Global, because the traceback also shows the local variables of the test.
CALLS: dict[str, dict[str, Any]] = {
    "create_token": {
        "clientId": "client",
        "clientSecret": f"cs-{MARK}",
        "grantType": "refresh_token",
        "refreshToken": f"rt-{MARK}",
        "code": f"code-{MARK}",
        "codeVerifier": f"verifier-{MARK}",
        "deviceCode": f"device-{MARK}",
    },
    "create_token_with_iam": {
        "clientId": "arn",
        "grantType": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": f"assertion-{MARK}",
        "subjectToken": f"subject-{MARK}",
        "refreshToken": f"rt-{MARK}",
    },
    "register_client": {"clientName": f"name-{MARK}", "clientType": "public"},
    "start_device_authorization": {
        "clientId": "client",
        "clientSecret": f"cs-{MARK}",
        "startUrl": f"https://x.awsapps.com/{MARK}",
    },
}
NO_RETRIES = Config(retries={"max_attempts": 0})
KEYS = {
    "aws_access_key_id": "AKIA0123",
    "aws_secret_access_key": f"sk-{MARK}",
    "aws_session_token": f"st-{MARK}",
}
TOKEN = {
    "accessToken": f"at-{MARK}",
    "tokenType": "Bearer",
    "refreshToken": f"rt-{MARK}",
    "clientId": "client",
    "clientSecret": f"cs-{MARK}",
    "deviceCode": f"device-{MARK}",
}
SPOILT: dict[str, dict[str, Any]] = {
    "of a wrong type": {"clientId": [MARK], "scope": {MARK: MARK}, "clientName": MARK.encode()},
    "unknown": {"no_such_thing": MARK},
    "null": {"clientSecret": None, "grantType": None, "clientType": None},
}
ANSWERS: dict[str, Act] = {
    "refused": faults.respond(400, {"error": "invalid_grant", "error_description": MARK}),
    "a page": faults.respond(200, f"<html>{MARK}".encode()),
    "an error page": faults.respond(404, f"<html>{MARK}".encode()),
    "failed": faults.respond(500, f"<html>{MARK}".encode()),
    "throttled": faults.respond(429, {"message": MARK}, {"x-amzn-ErrorType": "Throttling"}),
    "lost": faults.reset_after_request,
    "a redirect": faults.respond(302, b"", {"Location": f"http://x/{MARK}"}),
}


def shown(error: BaseException) -> str:
    """Return the traceback with local variables, as rich, cgitb, Sentry and pytest show it."""
    text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Params(" in text or "Masked(" in text or "SsoConfig" in text
    return text


def assert_clean(ask: Callable[[], object]) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - only the traceback matters
        ask()
    text = shown(caught.value)
    assert MARK not in text
    return text


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", ANSWERS)
def test_an_error_response_shows_no_secret(operation: str, name: str) -> None:
    with FaultServer(ANSWERS[name]) as server:
        client = aws.client("us-east-1", server.url, config=NO_RETRIES, **KEYS)
        with client:
            try:
                getattr(client, operation)(**CALLS[operation])
            except Exception as error:  # noqa: BLE001 - only the traceback matters
                text = shown(error)
                # The text of the service may be shown; parameters of the request may not.
                for value in secrets_of(operation):
                    assert value not in text


def secrets_of(operation: str) -> list[str]:
    prefixes = (
        "cs-",
        "rt-",
        "code-",
        "verifier-",
        "device-",
        "assertion-",
        "subject-",
        "sk-",
        "st-",
    )
    values = [*CALLS[operation].values(), *KEYS.values()]
    return [value for value in values if str(value).startswith(prefixes)]


@pytest.mark.parametrize("operation", CALLS)
def test_an_unreachable_service_shows_no_secret(operation: str) -> None:
    url = f"http://127.0.0.1:{faults.free_port()}"
    with aws.client("us-east-1", url, config=NO_RETRIES, **KEYS) as client:
        assert_clean(lambda: getattr(client, operation)(**CALLS[operation]))


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", SPOILT)
def test_rejected_parameters_show_no_secret(operation: str, name: str) -> None:
    client = aws.client("us-east-1", "http://127.0.0.1:1")
    with client:
        assert_clean(lambda: getattr(client, operation)(**{**CALLS[operation], **SPOILT[name]}))


@pytest.mark.parametrize("event", ["provide-client-params", "before-call", "after-call"])
@pytest.mark.parametrize("operation", CALLS)
def test_a_failing_handler_shows_no_secret(operation: str, event: str) -> None:
    """The frames of botocore show the parameters that it passes to handlers."""

    def fail(**_: Any) -> None:
        raise LookupError("the handler's own fault")

    with FaultServer(faults.respond(200, TOKEN)) as server:
        client = aws.client("us-east-1", server.url, **KEYS)
        client.meta.events.register(event, fail)
        with client, pytest.raises(LookupError) as caught:
            getattr(client, operation)(**CALLS[operation])
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame for frame in frames if "grantway" in frame.filename]
    assert ours
    for frame in ours:
        assert MARK not in str(frame.locals)


def test_a_call_without_a_stub_shows_no_secret() -> None:
    client = aws.client("us-east-1", "http://127.0.0.1:1")
    with Stubber(client):
        assert_clean(lambda: client.create_token(**CALLS["create_token"]))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"region_name": "nowhere"},
        {"verify": "/no/such/file"},
        {"config": Config(proxies={"https": f"http://user:{MARK}@127.0.0.1:1"}), "verify": False},
        {"config": Config(proxies={"https": f"no://user:{MARK}@127.0.0.1:1"})},
    ],
    ids=lambda spoilt: next(iter(spoilt)),
)
def test_invalid_client_arguments_show_no_secret(spoilt: dict[str, Any]) -> None:
    options = grantway._secrets.params.Params({"region_name": "us-east-1", **KEYS, **spoilt})
    del spoilt
    assert_clean(lambda: aws.client(**options))


# --- other clients ------------------------------------------------------------------------------


def test_a_profile_with_aws_credentials_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(
        f"[profile dev]\naws_access_key_id = AKIA\naws_secret_access_key = {MARK}\n"
        f"aws_session_token = {MARK}\nsso_start_url = no address\nsso_region = eu-west-1\n"
        "services = missing\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "dev")
    for ask in (aws.sso_session, lambda: aws.client("us-east-1")):
        with pytest.raises(grantway.ConfigurationError) as caught:
            ask()
        text = "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
        assert MARK not in text


REGISTERED = {"clientId": "client", "clientSecret": f"cs-{MARK}", "clientSecretExpiresAt": 4e9}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["login_on_device", "login_with_browser", "credential"])
def test_a_failing_session_shows_no_secret(name: str, method: str, tmp_path: Path) -> None:
    config = SsoConfig(
        "dev",
        "https://x.awsapps.com/start",
        "us-east-1",
        None,
        "aws sso login",
        "--sso-session dev",
    )
    path = tmp_path / f"{hashlib.sha1(b'dev').hexdigest()}.json"
    path.write_text(
        json.dumps(
            {
                "accessToken": f"at-{MARK}",
                "refreshToken": f"rt-{MARK}",
                "expiresAt": "2020-01-01T00:00:00Z",
                "clientId": "client",
                "clientSecret": f"cs-{MARK}",
                "registrationExpiresAt": "2099-01-01T00:00:00Z",
            }
        ),
        encoding="utf-8",
    )
    ask: dict[str, Callable[[aws.SsoSession], object]] = {
        "login_on_device": lambda session: session.login_on_device(print),
        "login_with_browser": lambda session: session.login_with_browser(
            open_browser=lambda _url: True, timeout=0.2
        ),
        "credential": lambda session: session.credential().token(),
    }
    first = [] if method == "credential" else [faults.respond(200, REGISTERED)]
    with FaultServer(*first, ANSWERS[name]) as server:
        session = aws.SsoSession(config, folder=tmp_path, endpoint_url=server.url, timeout=2)
        with session, pytest.raises(grantway.GrantwayError) as caught:
            ask[method](session)
    text = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    for prefix in ("at-", "rt-", "cs-"):
        assert f"{prefix}{MARK}" not in text


class _Failing:
    """Credentials that fail to refresh."""

    def get_frozen_credentials(self) -> Any:
        raise OSError("the refresh failed")


@pytest.mark.parametrize("refresh", ["fails", "works"])
def test_a_signing_client_shows_no_secret(refresh: str) -> None:
    found = _Failing() if refresh == "fails" else botocore.credentials.Credentials(*KEYS.values())
    with FaultServer(ANSWERS["refused"]) as server:
        client = grantway.Client(
            grantway.Provider(token_endpoint=f"{server.url}/token", dialect="aws-sso-oidc"),
            client_id="arn",
            auth=AwsIam("arn", "us-east-1", credentials=lambda: found),
        )
        with client, pytest.raises(Exception) as caught:  # noqa: PT011 - only the traceback matters
            client.create_token(grant_type="refresh_token", refresh_token=REFRESH["value"])
    text = shown(caught.value)
    for value in (*KEYS.values(), REFRESH["value"]):
        assert value not in text


REFRESH = {"value": f"rt-{MARK}"}
