"""Requests, successes and errors documented by providers. The values are examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway import _exceptions as e
from grantway._transport.http import HttpResponse

JSON = "application/json;charset=utf-8"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
DAY, HOUR = 86400, 3600

BASIC = "Basic bXktY2xpZW50OnMzY3JldA=="  # my-client:s3cret
STANDARD = {"grant_type": "refresh_token", "refresh_token": "old"}
POST = {**STANDARD, "client_id": "my-client", "client_secret": "s3cret"}


@dataclass(frozen=True)
class Request:
    """Expected encoding of a refresh with the scopes ``a`` and ``b``, and of a login.

    ``login`` holds what is in the query of an authorization request, beside the standard.
    """

    dialect: str
    body: Mapping[str, Any]
    basic: bool = False
    json: bool = False
    login: Mapping[str, str] = field(default_factory=lambda: {"scope": "a b"})


@dataclass(frozen=True)
class Success:
    """A response with a token, and the token description_member from it."""

    dialect: str
    body: dict[str, Any] | str
    expires_in: int | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    scope: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    kind: str = JSON

    access_token = "at-1"
    token_type = "Bearer"


@dataclass(frozen=True)
class ErrorResponse:
    """An error response, and the exception description_member for it."""

    dialect: str
    status: int
    body: dict[str, Any] | str
    error: type[e.TokenError]
    code: str
    description: str | None = None
    reason: str | None = None
    kind: str = JSON


def response(case: Success | ErrorResponse) -> HttpResponse:
    text = case.body if isinstance(case.body, str) else json.dumps(case.body)
    return HttpResponse(case.status, {"content-type": case.kind}, text.encode())


def bearer(**more: Any) -> dict[str, Any]:
    return {"access_token": "at-1", "token_type": "Bearer", **more}


REQUESTS = [
    Request("atlassian", {**POST, "scope": "a b"}),
    Request("auth0", {**POST, "scope": "a b"}),
    Request("crowdstrike", {**POST, "scope": "a b"}),
    Request("discord", {**STANDARD, "scope": "a b"}, basic=True),
    Request("douban", {**POST, "scope": "a,b"}, login={"scope": "a,b"}),
    Request("ebay", {**STANDARD, "scope": "a b"}, basic=True),
    Request("facebook", {**POST, "scope": "a,b"}, login={"scope": "a,b"}),
    Request("fitbit", {**STANDARD, "scope": "a b"}, basic=True),
    Request("github", {**POST, "scope": "a b"}),
    Request("google", {**POST, "scope": "a b"}),
    Request("instagram", {**POST, "scope": "a,b"}, login={"scope": "a,b"}),
    Request("keycloak", {**STANDARD, "scope": "a b"}, basic=True),
    Request("linkedin", {**POST, "scope": "a b"}),
    Request("mailchimp", {**POST, "scope": "a b"}),
    Request("microsoft", {**POST, "scope": "a b"}),
    Request("notion", {**STANDARD, "scope": "a b"}, basic=True, json=True),
    Request("okta", {**STANDARD, "scope": "a b"}, basic=True),
    Request("paypal", {**STANDARD, "scope": "a b"}, basic=True),
    Request("plentymarkets", {**STANDARD, "scope": "a b"}, basic=True),
    Request("slack", {**STANDARD, "scope": "a,b"}, basic=True, login={"scope": "a,b"}),
    Request("slack-v2", {**STANDARD, "scope": "a,b"}, basic=True, login={"user_scope": "a,b"}),
    Request("spotify", {**STANDARD, "scope": "a b"}, basic=True),
    Request("threads", {**POST, "scope": "a,b"}, login={"scope": "a,b"}),
    Request(
        "tiktok",
        {**STANDARD, "client_key": "my-client", "client_secret": "s3cret", "scope": "a,b"},
        login={"client_key": "my-client", "scope": "a,b"},
    ),
    Request("twitch", {**POST, "scopes": "a b"}),
    Request("weibo", {**POST, "scope": "a,b"}, login={"scope": "a,b"}),
    Request("withings", {**POST, "action": "requesttoken", "scope": "a,b"}, login={"scope": "a,b"}),
    Request("wix", {**POST, "scope": "a b"}, json=True),
    Request("workos", {**POST, "scope": "a b"}),
    Request("rfc6749", {**STANDARD, "scope": "a b"}, basic=True),
    Request(
        "aws-sso-oidc",
        {
            "grantType": "refresh_token",
            "refreshToken": "old",
            "clientId": "my-client",
            "clientSecret": "s3cret",
            "scope": ["a", "b"],
        },
        json=True,
        login={"scopes": "a b"},
    ),
]

SUCCESSES = [
    Success(
        "atlassian",
        bearer(expires_in=HOUR, refresh_token="new", scope="read:me offline_access"),
        expires_in=HOUR,
        refresh_token="new",
        scope=("read:me", "offline_access"),
    ),
    Success(
        "auth0",
        bearer(expires_in=DAY, refresh_token="new", id_token="eyJ.e30.x", scope="openid profile"),
        expires_in=DAY,
        refresh_token="new",
        id_token="eyJ.e30.x",
        scope=("openid", "profile"),
    ),
    Success(
        "crowdstrike",
        {"access_token": "at-1", "token_type": "bearer", "expires_in": 1799},
        expires_in=1799,
        status=201,
    ),
    Success(
        "discord",
        bearer(expires_in=604800, refresh_token="new", scope="identify guilds"),
        expires_in=604800,
        refresh_token="new",
        scope=("identify", "guilds"),
    ),
    Success(
        "douban",
        {
            "access_token": "at-1",
            "expires_in": 3920,
            "refresh_token": "new",
            "douban_user_id": "1221",
        },
        expires_in=3920,
        refresh_token="new",
        extra={"douban_user_id": "1221"},
    ),
    Success(
        "ebay",
        {"access_token": "at-1", "expires_in": 7200, "token_type": "User Access Token"},
        expires_in=7200,
    ),
    Success(
        "ebay",
        {"access_token": "at-1", "expires_in": 7200, "token_type": "Application Access Token"},
        expires_in=7200,
    ),
    Success("facebook", bearer(expires_in=5183944), expires_in=5183944),
    Success("facebook", "access_token=at-1&expires=5108", expires_in=5108, kind="text/plain"),
    Success("facebook", "access_token=at-1", kind="text/plain; charset=UTF-8"),
    Success(
        "fitbit",
        bearer(expires_in=28800, refresh_token="new", scope="activity sleep", user_id="GGNJL9"),
        expires_in=28800,
        refresh_token="new",
        scope=("activity", "sleep"),
        extra={"user_id": "GGNJL9"},
    ),
    Success(
        "github",
        {"access_token": "at-1", "scope": "repo,gist", "token_type": "bearer"},
        scope=("repo", "gist"),
    ),
    Success(
        "github",
        {
            "access_token": "at-1",
            "expires_in": 28800,
            "refresh_token": "new",
            "refresh_token_expires_in": 15897600,
            "scope": "",
            "token_type": "bearer",
        },
        expires_in=28800,
        refresh_token="new",
        scope=(),
        extra={"refresh_token_expires_in": 15897600},
    ),
    Success(
        "github",
        "access_token=at-1&scope=repo%2Cgist&token_type=bearer",
        scope=("repo", "gist"),
        kind=FORM,
    ),
    Success(
        "google",
        bearer(expires_in=3920, scope="https://www.googleapis.com/auth/drive.metadata.readonly"),
        expires_in=3920,
        scope=("https://www.googleapis.com/auth/drive.metadata.readonly",),
    ),
    Success(
        "instagram",
        {
            "data": [
                {
                    "access_token": "at-1",
                    "user_id": "1020",
                    "permissions": "instagram_business_basic,instagram_business_manage_messages",
                }
            ]
        },
        scope=("instagram_business_basic", "instagram_business_manage_messages"),
        extra={"user_id": "1020"},
    ),
    Success(
        "instagram",
        {"access_token": "at-1", "token_type": "bearer", "expires_in": 5183944},
        expires_in=5183944,
    ),
    Success(
        "keycloak",
        {
            "access_token": "at-1",
            "expires_in": 300,
            "refresh_expires_in": 1800,
            "refresh_token": "new",
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": "1f5",
            "scope": "profile email",
        },
        expires_in=300,
        refresh_token="new",
        scope=("profile", "email"),
        extra={"refresh_expires_in": 1800, "not-before-policy": 0, "session_state": "1f5"},
    ),
    Success(
        "linkedin",
        {
            "access_token": "at-1",
            "expires_in": 5183999,
            "refresh_token": "new",
            "refresh_token_expires_in": 31536059,
            "scope": "email,openid,profile",
        },
        expires_in=5183999,
        refresh_token="new",
        scope=("email", "openid", "profile"),
        extra={"refresh_token_expires_in": 31536059},
    ),
    Success("mailchimp", {"access_token": "at-1", "expires_in": 0, "scope": None}),
    Success(
        "microsoft",
        bearer(
            expires_in=3599,
            scope="https://graph.microsoft.com/mail.read",
            refresh_token="new",
            ext_expires_in=3599,
        ),
        expires_in=3599,
        refresh_token="new",
        scope=("https://graph.microsoft.com/mail.read",),
        extra={"ext_expires_in": 3599},
    ),
    Success(
        "microsoft",
        bearer(
            expires_in="3600",
            expires_on="1388444763",
            resource="https://service.contoso.com/",
            refresh_token="new",
            scope="user_impersonation",
        ),
        expires_in=3600,
        refresh_token="new",
        scope=("user_impersonation",),
        extra={"expires_on": "1388444763", "resource": "https://service.contoso.com/"},
    ),
    Success(
        "notion",
        {
            "access_token": "at-1",
            "token_type": "bearer",
            "refresh_token": "new",
            "bot_id": "b3",
            "workspace_id": "w1",
        },
        refresh_token="new",
        extra={"bot_id": "b3", "workspace_id": "w1"},
    ),
    Success(
        "okta",
        bearer(expires_in=HOUR, scope="offline_access openid", refresh_token="new"),
        expires_in=HOUR,
        refresh_token="new",
        scope=("offline_access", "openid"),
    ),
    Success(
        "paypal",
        bearer(expires_in="32400", scope="https://uri.paypal.com/payments", app_id="APP-80W"),
        expires_in=32400,
        scope=("https://uri.paypal.com/payments",),
        extra={"app_id": "APP-80W"},
    ),
    Success(
        "plentymarkets",
        {
            "accessToken": "at-1",
            "tokenType": "Bearer",
            "expiresIn": DAY,
            "refreshToken": "new",
        },
        expires_in=DAY,
        refresh_token="new",
    ),
    Success(
        "slack",
        {
            "ok": True,
            "access_token": "at-1",
            "token_type": "bot",
            "scope": "commands,incoming-webhook",
            "bot_user_id": "U0K",
            "team": {"id": "T9T"},
        },
        scope=("commands", "incoming-webhook"),
        extra={"ok": True, "bot_user_id": "U0K", "team": {"id": "T9T"}},
    ),
    Success(
        "slack-v2",
        {
            "ok": True,
            "access_token": "xoxb-the-app's",
            "refresh_token": "xoxe-the-app's",
            "token_type": "bot",
            "scope": "commands",
            "team": {"id": "T9T"},
            "authed_user": {
                "id": "U12",
                "scope": "chat:write,search:read",
                "access_token": "at-1",
                "token_type": "user",
            },
        },
        scope=("chat:write", "search:read"),
        extra={"ok": True, "id": "U12", "team": {"id": "T9T"}},
    ),
    Success(
        "slack-v2",
        {
            "ok": True,
            "access_token": "at-1",
            "refresh_token": "new",
            "expires_in": 43200,
            "token_type": "user",
            "authed_user": {"id": "U12"},
        },
        expires_in=43200,
        refresh_token="new",
        extra={"ok": True, "authed_user": {"id": "U12"}},
    ),
    Success(
        "spotify",
        bearer(expires_in=HOUR, scope="user-read-private user-read-email"),
        expires_in=HOUR,
        scope=("user-read-private", "user-read-email"),
    ),
    Success("threads", {"access_token": "at-1", "user_id": 1784}, extra={"user_id": 1784}),
    Success(
        "tiktok",
        bearer(
            expires_in=DAY,
            open_id="723f",
            refresh_expires_in=31536000,
            refresh_token="new",
            scope="user.info.basic,video.list",
        ),
        expires_in=DAY,
        refresh_token="new",
        scope=("user.info.basic", "video.list"),
        extra={"open_id": "723f", "refresh_expires_in": 31536000},
    ),
    Success(
        "twitch",
        {
            "access_token": "at-1",
            "expires_in": 14124,
            "refresh_token": "new",
            "scope": ["channel:moderate", "chat:edit"],
            "token_type": "bearer",
        },
        expires_in=14124,
        refresh_token="new",
        scope=("channel:moderate", "chat:edit"),
    ),
    Success(
        "weibo",
        {"access_token": "at-1", "expires_in": "1234", "remind_in": "798114", "uid": "1234"},
        expires_in=1234,
        extra={"remind_in": "798114", "uid": "1234"},
    ),
    Success(
        "withings",
        {
            "status": 0,
            "body": {
                "userid": "363",
                "access_token": "at-1",
                "refresh_token": "new",
                "expires_in": 10800,
                "scope": "user.info,user.metrics",
                "token_type": "Bearer",
            },
        },
        expires_in=10800,
        refresh_token="new",
        scope=("user.info", "user.metrics"),
        extra={"status": 0, "userid": "363"},
    ),
    Success("wix", bearer(expires_in=14400), expires_in=14400),
    Success("wix", {"refresh_token": "new", "access_token": "at-1"}, refresh_token="new"),
    Success(
        "workos",
        {"access_token": "at-1", "refresh_token": "new", "user": {"id": "user_01"}},
        refresh_token="new",
        extra={"user": {"id": "user_01"}},
    ),
    Success(
        "rfc6749",
        bearer(expires_in=HOUR, refresh_token="new", example_parameter="example_value"),
        expires_in=HOUR,
        refresh_token="new",
        extra={"example_parameter": "example_value"},
    ),
    Success(
        "aws-sso-oidc",
        {
            "accessToken": "at-1",
            "tokenType": "Bearer",
            "expiresIn": 28800,
            "refreshToken": "new",
        },
        expires_in=28800,
        refresh_token="new",
    ),
]


def standard(code: str, description: str | None = None) -> dict[str, Any]:
    description_member = {} if description is None else {"error_description": description}
    return {"error": code, **description_member}


ERROR_RESPONSES = [
    ErrorResponse(
        "atlassian",
        403,
        standard("invalid_grant", "Unknown or invalid refresh token."),
        e.InvalidGrantException,
        "invalid_grant",
        "Unknown or invalid refresh token.",
    ),
    ErrorResponse(
        "auth0",
        403,
        standard("invalid_grant", "Unknown or invalid refresh token."),
        e.InvalidGrantException,
        "invalid_grant",
        "Unknown or invalid refresh token.",
    ),
    ErrorResponse(
        "auth0",
        403,
        {**standard("mfa_required", "Multifactor authentication required"), "mfa_token": "Fe26"},
        e.UnknownTokenError,
        "mfa_required",
        "Multifactor authentication required",
    ),
    ErrorResponse(
        "crowdstrike",
        401,
        {"meta": {}, "errors": [{"code": 401, "message": "access denied, invalid client"}]},
        e.InvalidClientException,
        "invalid_client",
        "access denied, invalid client",
    ),
    ErrorResponse(
        "discord", 400, standard("invalid_grant"), e.InvalidGrantException, "invalid_grant"
    ),
    ErrorResponse(
        "douban",
        400,
        {
            "code": 118,
            "msg": "invalid_authorization_code: 9b1d",
            "request": "POST /service/auth2/token",
        },
        e.InvalidGrantException,
        "invalid_grant",
        "invalid_authorization_code: 9b1d",
    ),
    ErrorResponse(
        "ebay",
        401,
        standard("invalid_client", "client authentication failed"),
        e.InvalidClientException,
        "invalid_client",
        "client authentication failed",
    ),
    ErrorResponse(
        "facebook",
        400,
        {
            "error": {
                "message": "Error validating access token",
                "type": "OAuthException",
                "code": 190,
                "error_subcode": 460,
                "fbtrace_id": "EJplcsCHuLu",
            }
        },
        e.InvalidGrantException,
        "invalid_grant",
        "Error validating access token",
        "460",
    ),
    ErrorResponse(
        "facebook",
        400,
        {
            "error": {
                "message": "This authorization code has been used.",
                "type": "OAuthException",
                "code": 100,
                "fbtrace_id": "DtxvtGRaxbB",
            }
        },
        e.InvalidRequestException,
        "invalid_request",
        "This authorization code has been used.",
    ),
    ErrorResponse(
        "fitbit",
        400,
        {
            "errors": [{"errorType": "invalid_grant", "message": "Refresh token invalid"}],
            "success": False,
        },
        e.InvalidGrantException,
        "invalid_grant",
        "Refresh token invalid",
    ),
    ErrorResponse(
        "github",
        200,
        {
            "error": "bad_verification_code",
            "error_description": "The code passed is incorrect or expired.",
            "error_uri": "/apps/troubleshooting#bad-verification-code",
        },
        e.InvalidGrantException,
        "invalid_grant",
        "The code passed is incorrect or expired.",
    ),
    ErrorResponse(
        "github",
        200,
        standard("incorrect_client_credentials", "The client_id is incorrect."),
        e.InvalidClientException,
        "invalid_client",
        "The client_id is incorrect.",
    ),
    ErrorResponse(
        "github",
        200,
        "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect",
        e.InvalidGrantException,
        "invalid_grant",
        "The refresh token passed is incorrect",
        kind=FORM,
    ),
    ErrorResponse(
        "github",
        200,
        {**standard("slow_down", "Too many requests"), "interval": 10},
        e.SlowDownException,
        "slow_down",
        "Too many requests",
    ),
    ErrorResponse(
        "google",
        428,
        standard("authorization_pending", "Precondition Required"),
        e.AuthorizationPendingException,
        "authorization_pending",
        "Precondition Required",
    ),
    ErrorResponse(
        "google",
        403,
        {"error_code": "rate_limit_exceeded"},
        e.UnknownTokenError,
        "rate_limit_exceeded",
    ),
    ErrorResponse(
        "google",
        400,
        {**standard("invalid_grant", "reauth related error"), "error_subtype": "invalid_rapt"},
        e.InvalidGrantException,
        "invalid_grant",
        "reauth related error",
        "invalid_rapt",
    ),
    ErrorResponse(
        "instagram",
        400,
        {
            "error_type": "OAuthException",
            "code": 400,
            "error_message": "Matching code was not found or was already used",
        },
        e.UnknownTokenError,
        "OAuthException",
        "Matching code was not found or was already used",
    ),
    ErrorResponse(
        "keycloak",
        400,
        standard("invalid_grant", "Token is not active"),
        e.InvalidGrantException,
        "invalid_grant",
        "Token is not active",
    ),
    ErrorResponse(
        "linkedin",
        400,
        standard("invalid_request", "Unable to retrieve access token"),
        e.InvalidRequestException,
        "invalid_request",
        "Unable to retrieve access token",
    ),
    ErrorResponse(
        "mailchimp", 400, standard("invalid_grant"), e.InvalidGrantException, "invalid_grant"
    ),
    ErrorResponse(
        "microsoft",
        400,
        {
            "error": "invalid_grant",
            "error_description": "AADSTS65001: The user has not consented.",
            "error_codes": [65001],
            "suberror": "consent_required",
            "correlation_id": "255",
        },
        e.InvalidGrantException,
        "invalid_grant",
        "AADSTS65001: The user has not consented.",
        "consent_required",
    ),
    ErrorResponse(
        "microsoft",
        400,
        standard("interaction_required", "AADSTS50079"),
        e.InteractionRequiredError,
        "interaction_required",
        "AADSTS50079",
    ),
    ErrorResponse(
        "microsoft",
        400,
        standard("authorization_declined"),
        e.AccessDeniedException,
        "access_denied",
    ),
    ErrorResponse(
        "notion", 400, standard("invalid_grant"), e.InvalidGrantException, "invalid_grant"
    ),
    ErrorResponse(
        "okta",
        401,
        {
            "errorCode": "invalid_client",
            "errorSummary": "Invalid value for 'client_id' parameter.",
            "errorLink": "invalid_client",
            "errorId": "oae",
            "errorCauses": [],
        },
        e.InvalidClientException,
        "invalid_client",
        "Invalid value for 'client_id' parameter.",
    ),
    ErrorResponse(
        "okta",
        400,
        standard("invalid_grant", "The refresh token is invalid or expired."),
        e.InvalidGrantException,
        "invalid_grant",
        "The refresh token is invalid or expired.",
    ),
    ErrorResponse(
        "paypal",
        401,
        standard("invalid_client", "Client Authentication failed"),
        e.InvalidClientException,
        "invalid_client",
        "Client Authentication failed",
    ),
    ErrorResponse(
        "plentymarkets",
        401,
        standard("invalid_credentials", "The user credentials were incorrect."),
        e.UnknownTokenError,
        "invalid_credentials",
        "The user credentials were incorrect.",
    ),
    ErrorResponse(
        "slack",
        200,
        {"ok": False, "error": "invalid_code"},
        e.InvalidGrantException,
        "invalid_grant",
    ),
    ErrorResponse("slack", 200, {"ok": False}, e.UnknownTokenError, "unknown_error"),
    ErrorResponse(
        "slack-v2",
        200,
        {"ok": False, "error": "bad_client_secret"},
        e.InvalidClientException,
        "invalid_client",
    ),
    ErrorResponse(
        "spotify",
        400,
        standard("invalid_grant", "Refresh token revoked"),
        e.InvalidGrantException,
        "invalid_grant",
        "Refresh token revoked",
    ),
    ErrorResponse(
        "threads",
        400,
        {
            "error_type": "OAuthException",
            "code": 400,
            "error_message": "Matching code was not found or was already used",
        },
        e.UnknownTokenError,
        "OAuthException",
        "Matching code was not found or was already used",
    ),
    ErrorResponse(
        "tiktok",
        200,
        {
            "error": "invalid_request",
            "error_description": "Redirect_uri is not matched.",
            "log_id": "20220",
        },
        e.InvalidRequestException,
        "invalid_request",
        "Redirect_uri is not matched.",
    ),
    ErrorResponse(
        "twitch",
        400,
        {"error": "Bad Request", "status": 400, "message": "Invalid refresh token"},
        e.InvalidGrantException,
        "invalid_grant",
        "Invalid refresh token",
    ),
    ErrorResponse(
        "twitch",
        400,
        {"status": 400, "message": "authorization_pending"},
        e.AuthorizationPendingException,
        "authorization_pending",
        "authorization_pending",
    ),
    ErrorResponse(
        "weibo",
        400,
        {
            "error": "invalid_grant",
            "error_code": 21325,
            "error_description": "The provided access grant is invalid, expired, or revoked",
        },
        e.InvalidGrantException,
        "invalid_grant",
        "The provided access grant is invalid, expired, or revoked",
        "21325",
    ),
    ErrorResponse(
        "weibo",
        400,
        {**standard("expired_token"), "error_code": 21327},
        e.InvalidTokenError,
        "invalid_token",
        reason="21327",
    ),
    ErrorResponse(
        "withings",
        200,
        {"status": 503, "body": {}, "error": "Invalid Params: invalid code"},
        e.InvalidGrantException,
        "invalid_grant",
        "Invalid Params: invalid code",
    ),
    ErrorResponse(
        "withings",
        200,
        {"status": 503, "body": {}, "error": "Invalid Params: invalid grant_type"},
        e.InvalidRequestException,
        "invalid_request",
        "Invalid Params: invalid grant_type",
    ),
    ErrorResponse(
        "withings",
        200,
        {"status": 2554, "body": {}, "error": "Unknown action"},
        e.UnknownTokenError,
        "2554",
        "Unknown action",
    ),
    ErrorResponse("wix", 400, standard("invalid_grant"), e.InvalidGrantException, "invalid_grant"),
    ErrorResponse(
        "workos",
        400,
        standard("invalid_grant", "Session has already ended."),
        e.InvalidGrantException,
        "invalid_grant",
        "Session has already ended.",
    ),
    ErrorResponse(
        "workos",
        403,
        {
            "code": "email_verification_required",
            "message": "Email ownership must be verified.",
            "pending_authentication_token": "ql1",
        },
        e.UnknownTokenError,
        "email_verification_required",
        "Email ownership must be verified.",
    ),
    ErrorResponse(
        "rfc6749",
        400,
        standard("invalid_request"),
        e.InvalidRequestException,
        "invalid_request",
    ),
    ErrorResponse(
        "aws-sso-oidc",
        400,
        {
            "__type": "com.amazonaws.ssooidc#InvalidGrantException",
            "error": "invalid_grant",
            "error_description": "Invalid grant provided",
        },
        e.InvalidGrantException,
        "invalid_grant",
        "Invalid grant provided",
    ),
]
