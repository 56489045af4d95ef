"""AWS's own clients, and the drop-in for one of them, against ``grantway serve``."""

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
from tests.interop.aws_clients import Answer, AwsClient, BotoClient, JsClient, Refusal, refusal
from tests.interop.aws_js import AwsJsClient
from tests.interop.grantway_serve import grantway_serve

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
START_URL = "https://d-0000000000.awsapps.com/start"
#: How the AWS CLI registers and then asks: without a port, and with whatever port was free.
REGISTERED_REDIRECT = "http://127.0.0.1/oauth/callback"
REDIRECT = "http://127.0.0.1:54321/oauth/callback"
VERIFIER = secrets.token_urlsafe(64)
PATIENCE = 30.0

Connect = Callable[[str], AwsClient]


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_this_machine() -> Iterator[None]:
    """Neither credentials nor settings of whoever runs the tests."""
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
    return boto3.Session(region_name="us-east-1")


@pytest.fixture(params=["boto3", "javascript", "drop-in"])
def connect(
    request: pytest.FixtureRequest, boto: boto3.Session, aws_js: AwsJsClient
) -> Iterator[Connect]:
    """Make a client of the service at a URL. Each client asks once and does not retry."""
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
    """An issuer as it comes, which wants five seconds between two polls."""
    with grantway_serve() as url:
        yield url


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An issuer that may be polled at any pace."""
    with grantway_serve("--device-interval-seconds", "0", "--registration", "unrestricted") as url:
        yield url


@pytest.fixture(scope="module")
def forgetful_issuer() -> Iterator[str]:
    """An issuer of which nothing lasts, but for what its clients registered."""
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
def person() -> Iterator[BrowserDriver]:
    with BrowserDriver() as somebody:
        yield somebody


def register(aws: AwsClient, **metadata: Any) -> dict[str, str]:
    """Register as the AWS CLI does; returns what each later call must carry."""
    asked = {
        "clientName": "interop",
        "clientType": "public",
        "scopes": ["sso:account:access"],
        "redirectUris": [REGISTERED_REDIRECT],
        "grantTypes": ["authorization_code", DEVICE_CODE, "refresh_token"],
    }
    registered = aws.register_client(**{**asked, **metadata})
    return {name: registered[name] for name in ("clientId", "clientSecret")}


def authorize_url(issuer: str, who: dict[str, str], **changes: str) -> str:
    """The address that the AWS CLI opens; it says ``scopes`` where the RFC says ``scope``."""
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": who["clientId"],
        "redirect_uri": REDIRECT,
        "state": "a state",
        "code_challenge_method": "S256",
        "scopes": "sso:account:access",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
    return f"{issuer}/authorize?{urlencode({**query, **changes})}"


def a_code(issuer: str, who: dict[str, str], person: BrowserDriver) -> str:
    back = person.approve_authorization(authorize_url(issuer, who))
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


def login(aws: AwsClient, who: dict[str, str], person: BrowserDriver) -> Answer:
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    person.approve_device(started["verificationUriComplete"])
    return aws.create_token(**who, **poll(started))


def first_other_refusal(ask: Callable[[], Refusal], expected: str) -> Refusal:
    """Ask again while the answer is the expected one, and return the one that follows it."""
    deadline = time.monotonic() + PATIENCE
    pace = threading.Event()
    while (refused := ask()).exception == expected:
        assert time.monotonic() < deadline, f"still {expected} after {PATIENCE:g} s"
        pace.wait(0.05)
    return refused


def test_a_registration_names_its_secret_times_and_endpoints(aws: AwsClient, issuer: str) -> None:
    registered = aws.register_client(clientName="interop", clientType="public")
    assert registered["clientId"]
    assert registered["clientSecret"]
    assert registered["clientIdIssuedAt"] <= time.time() < registered["clientSecretExpiresAt"]
    assert registered["authorizationEndpoint"] == f"{issuer}/authorize"
    assert registered["tokenEndpoint"] == f"{issuer}/token"


def test_a_device_login_from_pending_to_refreshed(aws: AwsClient, person: BrowserDriver) -> None:
    who = register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    assert started["userCode"] in started["verificationUriComplete"]
    assert started["expiresIn"] > 0

    pending = refusal(aws, aws.create_token, **who, **poll(started))
    assert pending.exception == "AuthorizationPendingException"

    person.approve_device(started["verificationUri"], started["userCode"])
    token = aws.create_token(**who, **poll(started))
    assert token["tokenType"] == "Bearer"
    assert isinstance(token["expiresIn"], int)

    again = aws.create_token(**who, **refresh(token))
    assert again["accessToken"] != token["accessToken"]
    assert again["refreshToken"] != token["refreshToken"]


def test_a_login_by_code_and_pkce_as_the_aws_cli_does_it(
    aws: AwsClient, issuer: str, person: BrowserDriver
) -> None:
    who = register(aws)
    back = person.approve_authorization(authorize_url(issuer, who))
    assert back.startswith(f"{REDIRECT}?")
    sent_back = parse_qs(urlsplit(back).query)
    assert sent_back["state"] == ["a state"]
    assert sent_back["iss"] == [issuer]

    token = aws.create_token(**who, **redeem(sent_back["code"][0]))
    assert token["accessToken"]
    assert aws.create_token(**who, **refresh(token))["accessToken"] != token["accessToken"]


def test_every_refresh_brings_a_token_that_refreshes_again(
    aws: AwsClient, person: BrowserDriver
) -> None:
    who = register(aws)
    token = login(aws, who, person)
    seen = {token["refreshToken"]}
    for _ in range(5):
        token = aws.create_token(**who, **refresh(token))
        seen.add(token["refreshToken"])
    assert len(seen) == 6


def test_an_answer_that_got_lost_can_be_asked_for_again(
    aws: AwsClient, person: BrowserDriver
) -> None:
    who = register(aws)
    token = login(aws, who, person)
    aws.create_token(**who, **refresh(token))
    again = aws.create_token(**who, **refresh(token))
    assert aws.create_token(**who, **refresh(again))["accessToken"]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"grantType": DEVICE_CODE}, "deviceCode"),
        ({"grantType": "authorization_code", "redirectUri": REDIRECT}, "code"),
        ({"grantType": "refresh_token"}, "refreshToken"),
        ({"grantType": "authorization_code", "code": "a", "codeVerifier": "short"}, "Verifier"),
    ],
)
def test_a_bad_parameter_is_named_as_the_client_spells_it(
    aws: AwsClient, parameters: dict[str, str], named: str
) -> None:
    refused = refusal(aws, aws.create_token, **register(aws), **parameters)
    assert (refused.exception, refused.error) == ("InvalidRequestException", "invalid_request")
    assert refused.status == 400
    assert named in (refused.description or "")


@pytest.mark.parametrize(
    "wrong", [{"clientSecret": "not the secret"}, {"clientId": "nobody"}], ids=str
)
def test_an_unknown_client_or_wrong_secret_is_an_invalid_client(
    aws: AwsClient, wrong: dict[str, str]
) -> None:
    who = {**register(aws), **wrong}
    for refused in (
        refusal(aws, aws.create_token, **who, grantType="refresh_token", refreshToken="any"),
        refusal(aws, aws.start_device_authorization, **who, startUrl=START_URL),
    ):
        assert refused.exception == "InvalidClientException"
        assert (refused.error, refused.status) == ("invalid_client", 401)
        assert "not the secret" not in (refused.description or "")


def test_an_expired_registration_is_an_invalid_client(connect: Connect) -> None:
    with grantway_serve("--registration-seconds", "1") as url:
        aws = connect(url)
        who = register(aws)
        refused = first_other_refusal(
            lambda: refusal(
                aws, aws.create_token, **who, grantType="refresh_token", refreshToken="any"
            ),
            "InvalidGrantException",
        )
    assert refused.exception == "InvalidClientException"
    assert refused.status == 401


@pytest.mark.parametrize(
    "parameters",
    [
        {"grantType": DEVICE_CODE, "deviceCode": "unknown"},
        redeem("unknown"),
        {"grantType": "refresh_token", "refreshToken": "unknown"},
    ],
    ids=lambda parameters: parameters["grantType"],
)
def test_what_was_never_issued_is_no_grant(aws: AwsClient, parameters: dict[str, str]) -> None:
    refused = refusal(aws, aws.create_token, **register(aws), **parameters)
    assert (refused.exception, refused.error) == ("InvalidGrantException", "invalid_grant")
    assert refused.status == 400


def test_what_was_issued_to_another_client_is_no_grant(
    aws: AwsClient, issuer: str, person: BrowserDriver
) -> None:
    who, other = register(aws), register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    person.approve_device(started["verificationUriComplete"])
    code = a_code(issuer, who, person)
    token = login(aws, who, person)
    for parameters in (poll(started), redeem(code), refresh(token)):
        refused = refusal(aws, aws.create_token, **other, **parameters)
        assert refused.exception == "InvalidGrantException"
        # The theft that failed took nothing away.
        assert aws.create_token(**who, **parameters)["accessToken"]


@pytest.mark.parametrize(
    "change", [{"codeVerifier": "x" * 43}, {"redirectUri": "http://127.0.0.1:1/oauth/callback"}]
)
def test_a_code_that_is_not_redeemed_as_it_was_asked_for_is_not_spent(
    aws: AwsClient, issuer: str, person: BrowserDriver, change: dict[str, str]
) -> None:
    who = register(aws)
    code = a_code(issuer, who, person)
    refused = refusal(aws, aws.create_token, **who, **redeem(code, **change))
    assert refused.exception == "InvalidGrantException"
    assert aws.create_token(**who, **redeem(code))["accessToken"]


def test_a_code_that_is_redeemed_twice_ends_what_it_gave(
    aws: AwsClient, issuer: str, person: BrowserDriver
) -> None:
    who = register(aws)
    code = a_code(issuer, who, person)
    token = aws.create_token(**who, **redeem(code))
    for parameters in (redeem(code), refresh(token)):
        refused = refusal(aws, aws.create_token, **who, **parameters)
        assert refused.exception == "InvalidGrantException"


def test_a_device_code_is_redeemed_once(aws: AwsClient, person: BrowserDriver) -> None:
    who = register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    person.approve_device(started["verificationUriComplete"])
    aws.create_token(**who, **poll(started))
    refused = refusal(aws, aws.create_token, **who, **poll(started))
    assert refused.exception == "InvalidGrantException"


def test_a_refresh_token_that_was_used_ends_its_family(
    connect: Connect, person: BrowserDriver
) -> None:
    with grantway_serve("--refresh-reuse-window-seconds", "0") as url:
        aws = connect(url)
        who = register(aws)
        first = login(aws, who, person)
        second = aws.create_token(**who, **refresh(first))
        for token in (first, second):
            refused = refusal(aws, aws.create_token, **who, **refresh(token))
            assert refused.exception == "InvalidGrantException"


def test_a_login_ends_however_often_it_is_refreshed(
    connect: Connect, forgetful_issuer: str, person: BrowserDriver
) -> None:
    aws = connect(forgetful_issuer)
    who = register(aws)
    token = login(aws, who, person)
    refused = None
    deadline = time.monotonic() + PATIENCE
    while refused is None and time.monotonic() < deadline:
        try:
            token = aws.create_token(**who, **refresh(token))
        except Exception as error:  # noqa: BLE001 - `judged` raises what is not the client's own
            refused = aws.judged(error)
    assert refused is not None
    assert refused.exception == "InvalidGrantException"


def test_a_grant_that_the_client_did_not_register_is_not_its_to_use(aws: AwsClient) -> None:
    who = register(aws, grantTypes=[DEVICE_CODE])
    refused = refusal(aws, aws.create_token, **who, grantType="refresh_token", refreshToken="any")
    assert refused.exception == "UnauthorizedClientException"
    assert (refused.error, refused.status) == ("unauthorized_client", 400)


def test_a_device_login_that_the_client_did_not_register_cannot_start(aws: AwsClient) -> None:
    who = register(aws, grantTypes=["authorization_code", "refresh_token"])
    refused = refusal(aws, aws.start_device_authorization, **who, startUrl=START_URL)
    assert refused.exception == "UnauthorizedClientException"


@pytest.mark.parametrize("grant_type", ["password", "urn:example:grant", "Refresh_Token"])
def test_a_grant_that_nobody_registered_is_unsupported(aws: AwsClient, grant_type: str) -> None:
    refused = refusal(aws, aws.create_token, **register(aws), grantType=grant_type)
    assert refused.exception == "UnsupportedGrantTypeException"
    assert (refused.error, refused.status) == ("unsupported_grant_type", 400)


def test_a_person_who_says_no_is_final(aws: AwsClient, person: BrowserDriver) -> None:
    who = register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    person.deny_device(started["verificationUriComplete"])
    for _ in range(2):
        refused = refusal(aws, aws.create_token, **who, **poll(started))
        assert refused.exception == "AccessDeniedException"
        assert (refused.error, refused.status) == ("access_denied", 400)


def test_polling_too_fast_is_told_to_slow_down(connect: Connect, patient_issuer: str) -> None:
    aws = connect(patient_issuer)
    who = register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    assert started["interval"] == 5
    polls = [refusal(aws, aws.create_token, **who, **poll(started)) for _ in range(3)]
    # The second poll may pass: AWS's CLI sends it within milliseconds of the first.
    assert polls[0].exception == "AuthorizationPendingException"
    assert polls[2].exception == "SlowDownException"
    assert (polls[2].error, polls[2].status) == ("slow_down", 400)


def test_a_device_code_that_nobody_answers_expires(connect: Connect, forgetful_issuer: str) -> None:
    aws = connect(forgetful_issuer)
    who = register(aws)
    started = aws.start_device_authorization(**who, startUrl=START_URL)
    refused = first_other_refusal(
        lambda: refusal(aws, aws.create_token, **who, **poll(started)),
        "AuthorizationPendingException",
    )
    assert refused.exception == "ExpiredTokenException"
    assert (refused.error, refused.status) == ("expired_token", 400)


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
def test_a_registration_that_breaks_a_rule(
    aws: AwsClient, metadata: dict[str, Any], exception: str, error: str
) -> None:
    asked = {
        "clientName": "interop",
        "clientType": "public",
        "redirectUris": [REGISTERED_REDIRECT],
        "grantTypes": ["authorization_code"],
    }
    refused = refusal(aws, aws.register_client, **{**asked, **metadata})
    assert (refused.exception, refused.error) == (exception, error)
    assert refused.status == 400
    assert refused.description


def test_a_busy_database_is_not_an_invalid_grant(
    connect: Connect, person: BrowserDriver, tmp_path: Path
) -> None:
    database = tmp_path / "issuer.sqlite3"
    with grantway_serve("--database", str(database)) as url:
        aws = connect(url)
        who = register(aws)
        token = login(aws, who, person)
        with closing(sqlite3.connect(database, isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            refused = refusal(aws, aws.create_token, **who, **refresh(token))
            intruder.execute("ROLLBACK")
        assert refused.exception == "InternalServerException"
        assert (refused.error, refused.status) == ("server_error", 500)
        assert aws.create_token(**who, **refresh(token))["accessToken"]
