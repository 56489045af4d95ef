"""One refresh with each client, configured as documented, with a timeout of three seconds.

Each function takes the provider's address and returns a function that refreshes once and returns
the access token. Retries are left to the client's defaults.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import metadata
from typing import Any

CLIENT_ID = "client"
CLIENT_SECRET = "s" * 32
REFRESH_TOKEN = "rt-very-secret-0123456789"
#: Read timeout of every client in seconds.
TIMEOUT = 3

Refresh = Callable[[], object]


def grantway(base: str) -> Refresh:
    import grantway as package
    from grantway._transport.transport import HttpTransport

    client = package.Client(
        package.Provider(token_endpoint=f"{base}/token"),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        transport=HttpTransport(connect_timeout=TIMEOUT, read_timeout=TIMEOUT),
        timeout=3 * TIMEOUT,
    )
    return lambda: (
        client.create_token(grant_type="refresh_token", refresh_token=REFRESH_TOKEN).access_token
    )


def requests_oauth2client(base: str) -> Refresh:
    from requests_oauth2client import OAuth2Client

    client = OAuth2Client(
        token_endpoint=f"{base}/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        testing=True,
    )
    return lambda: (
        client.refresh_token(REFRESH_TOKEN, requests_kwargs={"timeout": TIMEOUT}).access_token
    )


def authlib(base: str) -> Refresh:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session(CLIENT_ID, CLIENT_SECRET, token_endpoint=f"{base}/token")
    return lambda: session.refresh_token(
        f"{base}/token", refresh_token=REFRESH_TOKEN, timeout=TIMEOUT
    )["access_token"]


def requests_oauthlib(base: str) -> Refresh:
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # as above
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(CLIENT_ID)
    return lambda: session.refresh_token(
        f"{base}/token",
        refresh_token=REFRESH_TOKEN,
        auth=(CLIENT_ID, CLIENT_SECRET),
        timeout=TIMEOUT,
    )["access_token"]


#: msal requires https, so its session redirects this address to the benchmark's server.
MSAL_AUTHORITY = "https://login.example/tenant"


def msal_session(base: str) -> Any:
    """An ``http_client`` for msal that sends to loopback."""
    import requests

    class ToLoopback(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **options: Any) -> Any:
            if "/.well-known/" in request.url:
                found = requests.Response()
                found.status_code, found.request = 200, request
                found._content = (
                    f'{{"issuer": "{MSAL_AUTHORITY}", "token_endpoint": "{MSAL_AUTHORITY}/token",'
                    f' "authorization_endpoint": "{MSAL_AUTHORITY}/authorize"}}'
                ).encode()
                return found
            request.url = request.url.replace(MSAL_AUTHORITY, base)
            return super().send(request, **options)

    session = requests.Session()
    session.mount(MSAL_AUTHORITY, ToLoopback(pool_maxsize=64))
    # msal does the same with its argument ``timeout`` for a session that it creates.
    session.request = functools.partial(session.request, timeout=TIMEOUT)  # type: ignore[method-assign]
    return session


def msal(base: str) -> Refresh:
    import msal as package

    app = package.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=CLIENT_SECRET,
        oidc_authority=MSAL_AUTHORITY,
        instance_discovery=False,
        http_client=msal_session(base),
    )

    def refresh() -> object:
        response = app.acquire_token_by_refresh_token(REFRESH_TOKEN, scopes=["read"])
        if "error" in response:
            raise ReturnedError(response["error"])
        return response.get("access_token")

    return refresh


class ReturnedError(Exception):
    """An error that a client returned instead of raising it."""


def google_auth(base: str) -> Refresh:
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    credentials = Credentials(
        token=None,
        refresh_token=REFRESH_TOKEN,
        token_uri=f"{base}/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    request = functools.partial(Request(), timeout=TIMEOUT)

    def refresh() -> object:
        credentials.refresh(request)
        return credentials.token

    return refresh


def boto3(base: str) -> Refresh:
    import boto3 as package
    from botocore import UNSIGNED
    from botocore.config import Config

    client = package.client(
        "sso-oidc",
        region_name="us-east-1",
        endpoint_url=base,
        config=Config(signature_version=UNSIGNED, connect_timeout=TIMEOUT, read_timeout=TIMEOUT),
    )
    return lambda: client.create_token(
        clientId=CLIENT_ID,
        clientSecret=CLIENT_SECRET,
        grantType="refresh_token",
        refreshToken=REFRESH_TOKEN,
    ).get("accessToken")


#: Name of the distribution -> its function.
PEERS: dict[str, Callable[[str], Refresh]] = {
    "grantway": grantway,
    "requests-oauth2client": requests_oauth2client,
    "Authlib": authlib,
    "requests-oauthlib": requests_oauthlib,
    "msal": msal,
    "google-auth": google_auth,
    "boto3": boto3,
}


def versions() -> dict[str, str]:
    """Return the distributions and their versions."""
    return {name: metadata.version(name) for name in PEERS}
