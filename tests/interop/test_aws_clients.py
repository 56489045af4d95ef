"""Tests of AWS's clients and grantway's drop-in against ``grantway serve``."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config

from grantway_plugins import aws as sso_oidc
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.aws_sessions import boto3_session
from tests.interop.aws_clients import Answer, AwsClient, BotoClient, JsClient, Rejection, rejection
from tests.interop.aws_js import AwsJsClient
from tests.interop.grantway_serve import grantway_serve

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
START_URL = "https://d-0000000000.awsapps.com/start"
#: The AWS CLI registers a redirect URI without a port, and uses any free port for the login.
REGISTERED_REDIRECT = "http://127.0.0.1/oauth/callback"
REDIRECT = "http://127.0.0.1:54321/oauth/callback"
VERIFIER = secrets.token_urlsafe(64)
PATIENCE = 30.0

Connect = Callable[[str], AwsClient]


@pytest.fixture(scope="module", autouse=True)
def _isolated_environment() -> Iterator[None]:
    """Remove the user's AWS credentials and settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def boto() -> boto3.Session:
    return boto3_session(region_name="us-east-1")


@pytest.fixture(params=["boto3", "javascript", "drop-in"])
def connect(
    request: pytest.FixtureRequest, boto: boto3.Session, aws_js: AwsJsClient
) -> Iterator[Connect]:
    """Return a function that creates a client without retries for a service URL."""
    with ExitStack() as exits:

        def by_boto3(url: str) -> AwsClient:
            once = Config(retries={"total_max_attempts": 1})
            client = boto.client("sso-oidc", endpoint_url=url, config=once)
            exits.callback(client.close)
            return BotoClient(client)

        def by_drop_in(url: str) -> AwsClient:
            client = sso_oidc.client(region_name="us-east-1", endpoint_url=url)
            return BotoClient(exits.enter_context(client))

        def by_javascript(url: str) -> AwsClient:
            return JsClient(aws_js, url)

        yield {"boto3": by_boto3, "javascript": by_javascript, "drop-in": by_drop_in}[request.param]


@pytest.fixture(scope="module")
def patient_issuer() -> Iterator[str]:
    """An issuer with the default poll interval of five seconds."""
    with grantway_serve() as url:
        yield url


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An issuer without a poll interval."""
    with grantway_serve("--device-interval-seconds", "0", "--registration", "unrestricted") as url:
        yield url


@pytest.fixture(scope="module")
def forgetful_issuer() -> Iterator[str]:
    """An issuer with very short lifetimes, except for client registrations."""
    with grantway_serve(
        *("--device-interval-seconds", "0"),
        *("--device-code-seconds", "1"),
        *("--refresh-family-seconds", "1"),
        *("--refresh-reuse-window-seconds", "0"),
    ) as url:
        yield url


@pytest.fixture
def aws(connect: Connect, issuer: str) -> AwsClient:
    return connect(issuer)


@pytest.fixture
def driver() -> Iterator[BrowserDriver]:
    with BrowserDriver() as driver:
        yield driver


def register(aws: AwsClient, **metadata: Any) -> dict[str, str]:
    """Register like the AWS CLI, and return the parameters for each later call."""
    asked = {
        "clientName": "interop",
        "clientType": "public",
        "scopes": ["sso:account:access"],
        "redirectUris": [REGISTERED_REDIRECT],
        "grantTypes": ["authorization_code", DEVICE_CODE, "refresh_token"],
    }
    registered = aws.register_client(**{**asked, **metadata})
    return {name: registered[name] for name in ("clientId", "clientSecret")}


def authorize_url(issuer: str, credentials: dict[str, str], **changes: str) -> str:
    """Return the URL that the AWS CLI opens, with ``scopes`` instead of the RFC's ``scope``."""
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": credentials["clientId"],
        "redirect_uri": REDIRECT,
        "state": "a state",
        "code_challenge_method": "S256",
        "scopes": "sso:account:access",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
    return f"{issuer}/authorize?{urlencode({**query, **changes})}"


def get_code(issuer: str, credentials: dict[str, str], driver: BrowserDriver) -> str:
    back = driver.approve_authorization(authorize_url(issuer, credentials))
    return parse_qs(urlsplit(back).query)["code"][0]


def redeem(code: str, **changes: str) -> dict[str, str]:
    return {
        "grantType": "authorization_code",
        "code": code,
        "redirectUri": REDIRECT,
        "codeVerifier": VERIFIER,
        **changes,
    }


def refresh(token: Answer) -> dict[str, str]:
    return {"grantType": "refresh_token", "refreshToken": token["refreshToken"]}


def poll(started: Answer) -> dict[str, str]:
    return {"grantType": DEVICE_CODE, "deviceCode": started["deviceCode"]}


def login(aws: AwsClient, credentials: dict[str, str], driver: BrowserDriver) -> Answer:
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    driver.approve_device(started["verificationUriComplete"])
    return aws.create_token(**credentials, **poll(started))


def first_other_rejection(ask: Callable[[], Rejection], expected: str) -> Rejection:
    """Repeat a call while its rejection is the expected one, and return the next rejection."""
    deadline = time.monotonic() + PATIENCE
    pace = threading.Event()
    while (rejected := ask()).exception == expected:
        assert time.monotonic() < deadline, f"still {expected} after {PATIENCE:g} s"
        pace.wait(0.05)
    return rejected


def test_registers_a_client_with_secret_times_and_endpoints(aws: AwsClient, issuer: str) -> None:
    registered = aws.register_client(clientName="interop", clientType="public")
    assert registered["clientId"]
    assert registered["clientSecret"]
    assert registered["clientIdIssuedAt"] <= time.time() < registered["clientSecretExpiresAt"]
    assert registered["authorizationEndpoint"] == f"{issuer}/authorize"
    assert registered["tokenEndpoint"] == f"{issuer}/token"


def test_logs_in_on_a_device_and_refreshes(aws: AwsClient, driver: BrowserDriver) -> None:
    credentials = register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    assert started["userCode"] in started["verificationUriComplete"]
    assert started["expiresIn"] > 0

    pending = rejection(aws, aws.create_token, **credentials, **poll(started))
    assert pending.exception == "AuthorizationPendingException"

    driver.approve_device(started["verificationUri"], started["userCode"])
    token = aws.create_token(**credentials, **poll(started))
    assert token["tokenType"] == "Bearer"
    assert isinstance(token["expiresIn"], int)

    again = aws.create_token(**credentials, **refresh(token))
    assert again["accessToken"] != token["accessToken"]
    assert again["refreshToken"] != token["refreshToken"]


def test_logs_in_with_a_code_and_pkce_like_the_aws_cli(
    aws: AwsClient, issuer: str, driver: BrowserDriver
) -> None:
    credentials = register(aws)
    back = driver.approve_authorization(authorize_url(issuer, credentials))
    assert back.startswith(f"{REDIRECT}?")
    sent_back = parse_qs(urlsplit(back).query)
    assert sent_back["state"] == ["a state"]
    assert sent_back["iss"] == [issuer]

    token = aws.create_token(**credentials, **redeem(sent_back["code"][0]))
    assert token["accessToken"]
    assert aws.create_token(**credentials, **refresh(token))["accessToken"] != token["accessToken"]


def test_every_refresh_returns_a_working_refresh_token(
    aws: AwsClient, driver: BrowserDriver
) -> None:
    credentials = register(aws)
    token = login(aws, credentials, driver)
    seen = {token["refreshToken"]}
    for _ in range(5):
        token = aws.create_token(**credentials, **refresh(token))
        seen.add(token["refreshToken"])
    assert len(seen) == 6


def test_a_lost_response_can_be_requested_again(aws: AwsClient, driver: BrowserDriver) -> None:
    credentials = register(aws)
    token = login(aws, credentials, driver)
    aws.create_token(**credentials, **refresh(token))
    again = aws.create_token(**credentials, **refresh(token))
    assert aws.create_token(**credentials, **refresh(again))["accessToken"]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"grantType": DEVICE_CODE}, "deviceCode"),
        ({"grantType": "authorization_code", "redirectUri": REDIRECT}, "code"),
        ({"grantType": "refresh_token"}, "refreshToken"),
        ({"grantType": "authorization_code", "code": "a", "codeVerifier": "short"}, "Verifier"),
    ],
)
def test_names_an_invalid_parameter_as_the_client_spells_it(
    aws: AwsClient, parameters: dict[str, str], named: str
) -> None:
    rejected = rejection(aws, aws.create_token, **register(aws), **parameters)
    assert (rejected.exception, rejected.error) == ("InvalidRequestException", "invalid_request")
    assert rejected.status == 400
    assert named in (rejected.description or "")


@pytest.mark.parametrize(
    "wrong", [{"clientSecret": "not the secret"}, {"clientId": "nobody"}], ids=str
)
def test_rejects_an_unknown_client_or_wrong_secret(aws: AwsClient, wrong: dict[str, str]) -> None:
    credentials = {**register(aws), **wrong}
    for rejected in (
        rejection(
            aws, aws.create_token, **credentials, grantType="refresh_token", refreshToken="any"
        ),
        rejection(aws, aws.start_device_authorization, **credentials, startUrl=START_URL),
    ):
        assert rejected.exception == "InvalidClientException"
        assert (rejected.error, rejected.status) == ("invalid_client", 401)
        assert "not the secret" not in (rejected.description or "")


def test_rejects_an_expired_registration(connect: Connect) -> None:
    with grantway_serve("--registration-seconds", "1") as url:
        aws = connect(url)
        credentials = register(aws)
        rejected = first_other_rejection(
            lambda: rejection(
                aws, aws.create_token, **credentials, grantType="refresh_token", refreshToken="any"
            ),
            "InvalidGrantException",
        )
    assert rejected.exception == "InvalidClientException"
    assert rejected.status == 401


@pytest.mark.parametrize(
    "parameters",
    [
        {"grantType": DEVICE_CODE, "deviceCode": "unknown"},
        redeem("unknown"),
        {"grantType": "refresh_token", "refreshToken": "unknown"},
    ],
    ids=lambda parameters: parameters["grantType"],
)
def test_rejects_credentials_that_were_never_issued(
    aws: AwsClient, parameters: dict[str, str]
) -> None:
    rejected = rejection(aws, aws.create_token, **register(aws), **parameters)
    assert (rejected.exception, rejected.error) == ("InvalidGrantException", "invalid_grant")
    assert rejected.status == 400


def test_rejects_credentials_of_another_client(
    aws: AwsClient, issuer: str, driver: BrowserDriver
) -> None:
    credentials, other = register(aws), register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    driver.approve_device(started["verificationUriComplete"])
    code = get_code(issuer, credentials, driver)
    token = login(aws, credentials, driver)
    for parameters in (poll(started), redeem(code), refresh(token)):
        rejected = rejection(aws, aws.create_token, **other, **parameters)
        assert rejected.exception == "InvalidGrantException"
        # The failed attempt did not use up the credential.
        assert aws.create_token(**credentials, **parameters)["accessToken"]


@pytest.mark.parametrize(
    "change", [{"codeVerifier": "x" * 43}, {"redirectUri": "http://127.0.0.1:1/oauth/callback"}]
)
def test_a_mismatched_redemption_does_not_use_up_the_code(
    aws: AwsClient, issuer: str, driver: BrowserDriver, change: dict[str, str]
) -> None:
    credentials = register(aws)
    code = get_code(issuer, credentials, driver)
    rejected = rejection(aws, aws.create_token, **credentials, **redeem(code, **change))
    assert rejected.exception == "InvalidGrantException"
    assert aws.create_token(**credentials, **redeem(code))["accessToken"]


def test_redeeming_a_code_twice_revokes_its_tokens(
    aws: AwsClient, issuer: str, driver: BrowserDriver
) -> None:
    credentials = register(aws)
    code = get_code(issuer, credentials, driver)
    token = aws.create_token(**credentials, **redeem(code))
    for parameters in (redeem(code), refresh(token)):
        rejected = rejection(aws, aws.create_token, **credentials, **parameters)
        assert rejected.exception == "InvalidGrantException"


def test_a_device_code_is_redeemed_once(aws: AwsClient, driver: BrowserDriver) -> None:
    credentials = register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    driver.approve_device(started["verificationUriComplete"])
    aws.create_token(**credentials, **poll(started))
    rejected = rejection(aws, aws.create_token, **credentials, **poll(started))
    assert rejected.exception == "InvalidGrantException"


def test_reusing_a_refresh_token_revokes_its_family(
    connect: Connect, driver: BrowserDriver
) -> None:
    with grantway_serve("--refresh-reuse-window-seconds", "0") as url:
        aws = connect(url)
        credentials = register(aws)
        first = login(aws, credentials, driver)
        second = aws.create_token(**credentials, **refresh(first))
        for token in (first, second):
            rejected = rejection(aws, aws.create_token, **credentials, **refresh(token))
            assert rejected.exception == "InvalidGrantException"


def test_a_login_expires_despite_refreshes(
    connect: Connect, forgetful_issuer: str, driver: BrowserDriver
) -> None:
    aws = connect(forgetful_issuer)
    credentials = register(aws)
    token = login(aws, credentials, driver)
    rejected = None
    deadline = time.monotonic() + PATIENCE
    while rejected is None and time.monotonic() < deadline:
        try:
            token = aws.create_token(**credentials, **refresh(token))
        except Exception as error:  # noqa: BLE001 - `parse_error` re-raises other errors
            rejected = aws.parse_error(error)
    assert rejected is not None
    assert rejected.exception == "InvalidGrantException"


def test_rejects_a_grant_that_the_client_did_not_register(aws: AwsClient) -> None:
    credentials = register(aws, grantTypes=[DEVICE_CODE])
    rejected = rejection(
        aws, aws.create_token, **credentials, grantType="refresh_token", refreshToken="any"
    )
    assert rejected.exception == "UnauthorizedClientException"
    assert (rejected.error, rejected.status) == ("unauthorized_client", 400)


def test_rejects_a_device_login_that_the_client_did_not_register(aws: AwsClient) -> None:
    credentials = register(aws, grantTypes=["authorization_code", "refresh_token"])
    rejected = rejection(aws, aws.start_device_authorization, **credentials, startUrl=START_URL)
    assert rejected.exception == "UnauthorizedClientException"


@pytest.mark.parametrize("grant_type", ["password", "urn:example:grant", "Refresh_Token"])
def test_reports_an_unknown_grant_as_unsupported(aws: AwsClient, grant_type: str) -> None:
    rejected = rejection(aws, aws.create_token, **register(aws), grantType=grant_type)
    assert rejected.exception == "UnsupportedGrantTypeException"
    assert (rejected.error, rejected.status) == ("unsupported_grant_type", 400)


def test_a_denied_login_stays_denied(aws: AwsClient, driver: BrowserDriver) -> None:
    credentials = register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    driver.deny_device(started["verificationUriComplete"])
    for _ in range(2):
        rejected = rejection(aws, aws.create_token, **credentials, **poll(started))
        assert rejected.exception == "AccessDeniedException"
        assert (rejected.error, rejected.status) == ("access_denied", 400)


def test_polling_too_fast_returns_slow_down(connect: Connect, patient_issuer: str) -> None:
    aws = connect(patient_issuer)
    credentials = register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    assert started["interval"] == 5
    polls = [rejection(aws, aws.create_token, **credentials, **poll(started)) for _ in range(3)]
    # The issuer accepts a quick second poll: the AWS CLI sends it milliseconds after the first.
    assert polls[0].exception == "AuthorizationPendingException"
    assert polls[2].exception == "SlowDownException"
    assert (polls[2].error, polls[2].status) == ("slow_down", 400)


def test_an_unanswered_device_code_expires(connect: Connect, forgetful_issuer: str) -> None:
    aws = connect(forgetful_issuer)
    credentials = register(aws)
    started = aws.start_device_authorization(**credentials, startUrl=START_URL)
    rejected = first_other_rejection(
        lambda: rejection(aws, aws.create_token, **credentials, **poll(started)),
        "AuthorizationPendingException",
    )
    assert rejected.exception == "ExpiredTokenException"
    assert (rejected.error, rejected.status) == ("expired_token", 400)


@pytest.mark.parametrize(
    ("metadata", "exception", "error"),
    [
        (
            {"grantTypes": ["password"]},
            "UnsupportedGrantTypeException",
            "unsupported_grant_type",
        ),
        (
            {"clientType": "confidential"},
            "InvalidClientMetadataException",
            "invalid_client_metadata",
        ),
        ({"redirectUris": []}, "InvalidRedirectUriException", "invalid_redirect_uri"),
        (
            {"redirectUris": ["http://example.com/callback"]},
            "InvalidRedirectUriException",
            "invalid_redirect_uri",
        ),
        (
            {"redirectUris": ["http://127.0.0.1/callback#part"]},
            "InvalidRedirectUriException",
            "invalid_redirect_uri",
        ),
        ({"scopes": ["two words"]}, "InvalidScopeException", "invalid_scope"),
        ({"clientName": ""}, "InvalidRequestException", "invalid_request"),
    ],
    ids=str,
)
def test_rejects_an_invalid_registration(
    aws: AwsClient, metadata: dict[str, Any], exception: str, error: str
) -> None:
    asked = {
        "clientName": "interop",
        "clientType": "public",
        "redirectUris": [REGISTERED_REDIRECT],
        "grantTypes": ["authorization_code"],
    }
    rejected = rejection(aws, aws.register_client, **{**asked, **metadata})
    assert (rejected.exception, rejected.error) == (exception, error)
    assert rejected.status == 400
    assert rejected.description


@pytest.mark.slow
def test_a_busy_database_is_not_an_invalid_grant(
    connect: Connect, driver: BrowserDriver, tmp_path: Path
) -> None:
    database = tmp_path / "issuer.sqlite3"
    with grantway_serve("--database", str(database)) as url:
        aws = connect(url)
        credentials = register(aws)
        token = login(aws, credentials, driver)
        with closing(sqlite3.connect(database, isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            rejected = rejection(aws, aws.create_token, **credentials, **refresh(token))
            intruder.execute("ROLLBACK")
        assert rejected.exception == "InternalServerException"
        assert (rejected.error, rejected.status) == ("server_error", 500)
        assert aws.create_token(**credentials, **refresh(token))["accessToken"]
