"""OAuth clients: a refresh with the refresh token grant."""

from __future__ import annotations

from tests.benchmarks.peers import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    MSAL_AUTHORITY,
    REFRESH_TOKEN,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.benchmarks.measuring import AsyncCall, Call

AWS_PARAMS = {
    "clientId": CLIENT_ID,
    "clientSecret": CLIENT_SECRET,
    "grantType": "refresh_token",
    "refreshToken": REFRESH_TOKEN,
}


def grantway_client(base: str) -> Any:
    import grantway

    provider = grantway.Provider(token_endpoint=f"{base}/token")
    return grantway.Client(provider, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


def grantway(base: str) -> Call:
    client = grantway_client(base)
    return lambda: (
        client.create_token(grant_type="refresh_token", refresh_token=REFRESH_TOKEN).access_token
    )


def grantway_async(base: str) -> AsyncCall:
    client = grantway_client(base)

    async def call() -> str:
        token = await client.create_token_async(
            grant_type="refresh_token", refresh_token=REFRESH_TOKEN
        )
        return token.access_token

    return call


def grantway_credential(base: str) -> Call:
    credential = grantway_client(base).credential(
        grant_type="refresh_token", refresh_token=REFRESH_TOKEN
    )
    return lambda: credential.token().access_token


def grantway_drop_in(base: str) -> Call:
    from grantway_plugins import aws

    client = aws.client(region_name="us-east-1", endpoint_url=base)
    return lambda: client.create_token(**AWS_PARAMS)["accessToken"]


def boto3(base: str) -> Call:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    unsigned = Config(signature_version=UNSIGNED)
    client = boto3.client("sso-oidc", region_name="us-east-1", endpoint_url=base, config=unsigned)
    return lambda: client.create_token(**AWS_PARAMS)["accessToken"]


def _authlib(session: Any, base: str) -> Call:
    import os

    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    url = f"{base}/token"
    return lambda: session.refresh_token(url, refresh_token=REFRESH_TOKEN)["access_token"]


def authlib_requests(base: str) -> Call:
    from authlib.integrations.requests_client import OAuth2Session

    return _authlib(OAuth2Session(CLIENT_ID, CLIENT_SECRET), base)


def authlib_httpx2(base: str) -> Call:
    from authlib.integrations.httpx_client import OAuth2Client

    return _authlib(OAuth2Client(CLIENT_ID, CLIENT_SECRET), base)


def authlib_httpx2_async(base: str) -> AsyncCall:
    import os

    from authlib.integrations.httpx_client import AsyncOAuth2Client

    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    client, url = AsyncOAuth2Client(CLIENT_ID, CLIENT_SECRET), f"{base}/token"

    async def call() -> str:
        return (await client.refresh_token(url, refresh_token=REFRESH_TOKEN))["access_token"]

    return call


def msal(base: str) -> Call:
    import msal
    import requests

    class ToLoopback(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **options: Any) -> Any:
            request.url = request.url.replace(MSAL_AUTHORITY, base)
            return super().send(request, **options)

    session = requests.Session()
    session.mount(MSAL_AUTHORITY, ToLoopback())
    app = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=CLIENT_SECRET,
        oidc_authority=MSAL_AUTHORITY,
        instance_discovery=False,
        http_client=session,
    )
    scopes = ["read"]
    return lambda: app.acquire_token_by_refresh_token(REFRESH_TOKEN, scopes)["access_token"]


def requests_oauth2client(base: str) -> Call:
    from requests_oauth2client import OAuth2Client

    client = OAuth2Client(
        token_endpoint=f"{base}/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        testing=True,  # allows http on loopback
    )
    return lambda: client.refresh_token(REFRESH_TOKEN).access_token


def requests_oauthlib(base: str) -> Call:
    import os

    from requests_oauthlib import OAuth2Session

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    session, url, auth = OAuth2Session(CLIENT_ID), f"{base}/token", (CLIENT_ID, CLIENT_SECRET)
    return lambda: session.refresh_token(url, REFRESH_TOKEN, auth=auth)["access_token"]


def google_auth(base: str) -> Call:
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    request = Request()
    credentials = Credentials(
        ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        token_uri=f"{base}/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )

    def call() -> str:
        credentials.refresh(request)
        return credentials.token

    return call


SYNC: dict[str, Callable[[str], Call]] = {
    "grantway": grantway,
    "grantway, SSO-OIDC": grantway_drop_in,
    "Authlib on httpx2": authlib_httpx2,
    "Authlib on requests": authlib_requests,
    "msal": msal,
    "requests_oauth2client": requests_oauth2client,
    "requests-oauthlib": requests_oauthlib,
    "boto3": boto3,
    "google-auth": google_auth,
}
ASYNC: dict[str, Callable[[str], AsyncCall]] = {
    "grantway": grantway_async,
    "Authlib on httpx2": authlib_httpx2_async,
}
