"""Getting a token that is held and has not expired.

Each library checks the expiry in the way that its own requests do. A token in hand costs no I/O.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import timeit
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.measuring import OURS, Row, interleaved, prepared
from tests.benchmarks.peers import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, MSAL_AUTHORITY
from tests.benchmarks.peers.oauth_clients import grantway_client
from tests.benchmarks.server import METADATA

NAME = "cached token"
BASELINE = "clock comparison"
CALLS = 2000
Call = Callable[[], object]


def _held() -> dict[str, Any]:
    return {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_at": time.time() + 3600}


def _end() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


def _comparison() -> Call:
    """Return the least that a library can do: compare one clock with the expiry."""
    held, clock = _held(), time.time
    token, end = held["access_token"], held["expires_at"]
    return lambda: token if clock() < end else None


def _grantway() -> Call:
    from grantway import Token

    credential = grantway_client("http://127.0.0.1:9").credential(grant_type="client_credentials")
    credential.accept(Token(ACCESS_TOKEN, expires_in=3600))
    return credential.token


def _authlib(session: Any) -> Call:
    session.token = _held()
    return lambda: session.ensure_active_token(session.token) and session.token["access_token"]


def _authlib_requests() -> Call:
    from authlib.integrations.requests_client import OAuth2Session

    return _authlib(OAuth2Session(CLIENT_ID))


def _authlib_httpx2() -> Call:
    from authlib.integrations.httpx_client import OAuth2Client

    return _authlib(OAuth2Client(CLIENT_ID))


def _msal() -> Call:
    import msal

    metadata = SimpleNamespace(
        status_code=200,
        text=json.dumps(METADATA),
        headers={},
        raise_for_status=lambda: None,
    )
    app = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=CLIENT_SECRET,
        oidc_authority=MSAL_AUTHORITY,
        instance_discovery=False,
        http_client=SimpleNamespace(get=lambda *_, **__: metadata),
    )
    app.token_cache.add(
        {
            "client_id": CLIENT_ID,
            "scope": ["read"],
            "token_endpoint": f"{MSAL_AUTHORITY}/token",
            "response": {"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"},
        }
    )
    scopes = ["read"]
    return lambda: app.acquire_token_for_client(scopes)["access_token"]


def _requests_oauth2client() -> Call:
    from requests_oauth2client import BearerToken, OAuth2AccessTokenAuth, OAuth2Client

    client = OAuth2Client("https://login.example/token", client_id=CLIENT_ID)
    auth = OAuth2AccessTokenAuth(client, BearerToken(ACCESS_TOKEN, expires_in=3600))
    return lambda: None if auth.token.is_expired(auth.leeway) else auth.token.access_token


def _requests_oauthlib() -> Call:
    from oauthlib.oauth2 import WebApplicationClient

    client = WebApplicationClient(CLIENT_ID, token=_held())
    return lambda: client.add_token("https://api.example/")


def _botocore() -> Call:
    from botocore.tokens import DeferredRefreshableToken, FrozenAuthToken

    token = DeferredRefreshableToken("sso", lambda: FrozenAuthToken(ACCESS_TOKEN, _end()))
    return lambda: token.get_frozen_token().token


def _google_auth() -> Call:
    from google.oauth2.credentials import Credentials

    credentials = Credentials(ACCESS_TOKEN, expiry=_end().replace(tzinfo=None))
    return lambda: credentials.token if credentials.valid else None


PEERS = {
    BASELINE: _comparison,
    OURS: _grantway,
    "Authlib on httpx2": _authlib_httpx2,
    "Authlib on requests": _authlib_requests,
    "msal": _msal,
    "requests_oauth2client": _requests_oauth2client,
    "requests-oauthlib": _requests_oauthlib,
    "boto3": _botocore,
    "google-auth": _google_auth,
}


def _time(call: Call) -> float:
    """Return the quickest of many batches, in nanoseconds: more than that is other work."""
    return min(timeit.repeat(call, number=CALLS // 10, repeat=10)) / (CALLS // 10) * 1e9


def measure(base: str, *, short: bool) -> list[Row]:
    """Return the row. No request is sent.

    Args:
        base: Address of the token server; not used.
        short: Whether to measure only grantway.
    """
    calls = prepared(PEERS, *((OURS, BASELINE) if short else ()))
    for peer, call in calls.items():
        assert call(), f"{peer} has no valid token"
    samples = interleaved(20, {peer: partial(_time, call) for peer, call in calls.items()})
    return [Row.of(NAME, "ns", BASELINE, samples)]
