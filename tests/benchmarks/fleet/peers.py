"""Shared use of one login with each client, configured as documented.

Each function takes a login with an expired access token, and returns a function that many threads
call, as before a request. It returns an access token, or raises.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.faults.peers import MSAL_AUTHORITY, ReturnedError, msal_session

#: Scope of every login, because msal always requests these.
SCOPE = "read openid profile offline_access"
TIMEOUT = 30
#: Seconds since the access token expired.
ENDED = 60
START_URL = "https://d-0000000000.awsapps.com/start"


@dataclass(frozen=True)
class Login:
    """A login and its issuer.

    Attributes:
        url: Address of the issuer.
        client_id: ID of the client.
        client_secret: Secret of the client.
        access_token: Expired access token.
        refresh_token: Refresh token, which works once.
        folder: Folder that the processes share, like the home folder of one user.
    """

    url: str
    client_id: str
    client_secret: str
    access_token: str
    refresh_token: str
    folder: str


Ask = Callable[[], str]


# --- Threads that share one object ----------------------------------------------------------------


def grantway(login: Login) -> Ask:
    from grantway import Client, Provider, Token

    client = Client(
        Provider(token_endpoint=f"{login.url}/token"),
        client_id=login.client_id,
        client_secret=login.client_secret,
    )
    credential = client.credential(
        grant_type="urn:ietf:params:oauth:grant-type:device_code", subject="fleet"
    )
    credential.accept(
        Token(
            login.access_token,
            refresh_token=login.refresh_token,
            expires_at=time.time() - ENDED,
        )
    )
    return lambda: credential.token().access_token


def authlib(login: Login) -> Ask:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session(
        login.client_id,
        login.client_secret,
        token_endpoint=f"{login.url}/token",
        token=_token(login),
        default_timeout=TIMEOUT,
    )

    def ask() -> str:
        session.ensure_active_token(session.token)
        return str(session.token["access_token"])

    return ask


def requests_oauth2client(login: Login) -> Ask:
    import requests
    from requests_oauth2client import BearerToken, OAuth2AccessTokenAuth, OAuth2Client

    auth = OAuth2AccessTokenAuth(
        OAuth2Client(
            token_endpoint=f"{login.url}/token",
            client_id=login.client_id,
            client_secret=login.client_secret,
            testing=True,  # allow http on loopback
        ),
        BearerToken(
            login.access_token,
            refresh_token=login.refresh_token,
            expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ENDED),
        ),
    )

    def ask() -> str:
        return _shown(requests.Request("GET", f"{login.url}/health", auth=auth).prepare().headers)

    return ask


def requests_oauthlib(login: Login) -> Ask:
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(
        login.client_id,
        token=_token(login) | {"expires_in": -ENDED},
        auto_refresh_url=f"{login.url}/token",
        token_updater=lambda token: None,
    )

    def ask() -> str:
        received = session.get(
            f"{login.url}/health",
            client_id=login.client_id,  # type: ignore[call-arg]
            client_secret=login.client_secret,  # type: ignore[call-arg]
            timeout=TIMEOUT,
        )
        return _shown(received.request.headers)

    return ask


def msal(login: Login) -> Ask:
    import msal as package

    cache = package.TokenCache()
    cache.add(_msal_login(login))
    return _msal_silent(login, cache)


def google_auth(login: Login) -> Ask:
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    credentials = Credentials(
        token=login.access_token,
        refresh_token=login.refresh_token,
        token_uri=f"{login.url}/token",
        client_id=login.client_id,
        client_secret=login.client_secret,
        expiry=dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(seconds=ENDED),
    )
    request = Request()

    def ask() -> str:
        headers: dict[str, str] = {}
        credentials.before_request(request, "GET", f"{login.url}/health", headers)
        return _shown(headers)

    return ask


# --- Processes that share a file ------------------------------------------------------------------


def grantway_file(login: Login) -> Ask:
    from grantway import Client, Provider
    from grantway_plugins.stores.file._store import FileStore

    client = Client(
        Provider(token_endpoint=f"{login.url}/token"),
        client_id=login.client_id,
        client_secret=login.client_secret,
    )
    credential = client.credential(
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        key="fleet",
        store=FileStore(Path(login.folder) / "tokens"),
    )
    return lambda: credential.token().access_token


def save_grantway(login: Login) -> None:
    from grantway import Token
    from grantway_plugins.stores.file._store import FileStore

    FileStore(Path(login.folder) / "tokens").save(
        "fleet",
        Token(
            login.access_token,
            refresh_token=login.refresh_token,
            expires_at=time.time() - ENDED,
        ),
    )


def botocore_cache(login: Login) -> Ask:
    os.environ |= {
        "HOME": login.folder,
        "AWS_PROFILE": "fleet",
        "AWS_ENDPOINT_URL_SSO_OIDC": login.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    import botocore.session

    session = botocore.session.Session()
    return lambda: str(session.get_auth_token().get_frozen_token().token)


def save_botocore(login: Login) -> None:
    """Use a separate login, because botocore needs a client registered through AWS's API."""
    from hashlib import sha1

    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    oidc = boto3.client(
        "sso-oidc",
        region_name="us-east-1",
        endpoint_url=login.url,
        config=Config(signature_version=UNSIGNED),
    )
    client = oidc.register_client(
        clientName="fleet", clientType="public", scopes=["sso:account:access"]
    )
    names = {"clientId": client["clientId"], "clientSecret": client["clientSecret"]}
    started = oidc.start_device_authorization(**names, startUrl=START_URL)
    received = oidc.create_token(
        **names,
        grantType="urn:ietf:params:oauth:grant-type:device_code",
        deviceCode=started["deviceCode"],
    )
    aws = Path(login.folder) / ".aws"
    cache = aws / "sso" / "cache"
    cache.mkdir(parents=True)
    (aws / "config").write_text(
        f"[sso-session fleet]\nsso_start_url = {START_URL}\nsso_region = us-east-1\n"
        "[profile fleet]\nsso_session = fleet\nregion = us-east-1\n"
    )
    now = dt.datetime.now(dt.UTC)
    (cache / f"{sha1(b'fleet').hexdigest()}.json").write_text(
        json.dumps(
            {
                "startUrl": START_URL,
                "region": "us-east-1",
                "accessToken": received["accessToken"],
                "expiresAt": _aws_time(now - dt.timedelta(seconds=ENDED)),
                **names,
                "registrationExpiresAt": _aws_time(now + dt.timedelta(days=30)),
                "refreshToken": received["refreshToken"],
            }
        )
    )


def msal_cache(login: Login) -> Ask:
    import msal as package

    path = Path(login.folder) / "cache.json"
    cache = package.SerializableTokenCache()
    cache.deserialize(path.read_text())
    silent = _msal_silent(login, cache)

    def ask() -> str:
        token = silent()
        if cache.has_state_changed:
            path.write_text(cache.serialize())
        return token

    return ask


def save_msal(login: Login) -> None:
    import msal as package

    cache = package.SerializableTokenCache()
    cache.add(_msal_login(login))
    (Path(login.folder) / "cache.json").write_text(cache.serialize())


#: Clients that send the client secret in the body by default.
BY_BODY = frozenset({"requests-oauth2client", "msal", "google-auth"})
#: Name of the distribution -> its function for threads.
THREADS: dict[str, Callable[[Login], Ask]] = {
    "grantway": grantway,
    "Authlib": authlib,
    "requests-oauth2client": requests_oauth2client,
    "requests-oauthlib": requests_oauthlib,
    "msal": msal,
    "google-auth": google_auth,
}
#: Name of the distribution -> its functions to save the login, and to get a token in a process.
PROCESSES: dict[str, tuple[Callable[[Login], None], Callable[[Login], Ask]]] = {
    "grantway": (save_grantway, grantway_file),
    "botocore": (save_botocore, botocore_cache),
    "msal": (save_msal, msal_cache),
}


def _token(login: Login) -> dict[str, Any]:
    return {
        "access_token": login.access_token,
        "refresh_token": login.refresh_token,
        "token_type": "Bearer",
        "expires_at": int(time.time()) - ENDED,
    }


def _shown(headers: Any) -> str:
    for name, value in headers.items():
        if name.lower() == "authorization":
            return str(value).removeprefix("Bearer ")
    raise ReturnedError("no token in the request")


def _aws_time(when: dt.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _msal_login(login: Login) -> dict[str, Any]:
    """Return the cache content that msal saves after a login."""
    who = base64.urlsafe_b64encode(b'{"uid": "user", "utid": "tenant"}').decode().rstrip("=")
    return {
        "client_id": login.client_id,
        "scope": ["read"],
        "token_endpoint": f"{MSAL_AUTHORITY}/token",
        "environment": "login.example",
        "response": {
            "access_token": login.access_token,
            "refresh_token": login.refresh_token,
            "token_type": "Bearer",
            "expires_in": 0,
            "client_info": who,
        },
    }


def _msal_silent(login: Login, cache: Any) -> Ask:
    import msal as package

    app = package.ConfidentialClientApplication(
        login.client_id,
        client_credential=login.client_secret,
        oidc_authority=MSAL_AUTHORITY,
        instance_discovery=False,
        token_cache=cache,
        http_client=msal_session(login.url),
    )
    (account,) = app.get_accounts()

    def ask() -> str:
        received = app.acquire_token_silent_with_error(["read"], account=account)
        if not received or "error" in received:
            raise ReturnedError((received or {}).get("error", "no token"))
        return str(received["access_token"])

    return ask
