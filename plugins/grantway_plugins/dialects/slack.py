"""Slack: tokens of an app and of a user."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

# Every response has status 200; ``ok`` tells success from failure.
_ERROR = ErrorShape(
    ok=("ok", True),
    codes={
        "bad_client_secret": "invalid_client",
        "bad_redirect_uri": "invalid_grant",
        "code_already_used": "invalid_grant",
        "fatal_error": "server_error",
        "internal_error": "server_error",
        "invalid_client_id": "invalid_client",
        "invalid_code": "invalid_grant",
        "invalid_grant_type": "unsupported_grant_type",
        "invalid_refresh_token": "invalid_grant",
        "ratelimited": "temporarily_unavailable",
        "service_unavailable": "temporarily_unavailable",
    },
)
# The types name the owner of the token; both are used as Bearer tokens.
_TOKEN_TYPES = {"bot": "Bearer", "user": "Bearer"}

#: The app's token. Errors have ``ok: false`` and status 200; scopes are separated by commas;
#: ``token_type`` names the owner of the token.
#:
#: - "Installing with OAuth", https://docs.slack.dev/authentication/installing-with-oauth
#: - "oauth.v2.access", https://docs.slack.dev/reference/methods/oauth.v2.access
SLACK = Dialect(
    name="slack",
    request=RequestShape(scope_separator=",", basic="raw"),
    response=ResponseShape(token_types=_TOKEN_TYPES),
    error=_ERROR,
)

#: The user's token. Scopes are sent in ``user_scope``, and the token is in ``authed_user``, except
#: in the response to a refresh, where it is at the top level.
#:
#: - "oauth.v2.access", https://docs.slack.dev/reference/methods/oauth.v2.access
#: - "Using token rotation", https://docs.slack.dev/authentication/using-token-rotation
SLACK_V2 = Dialect(
    name="slack-v2",
    request=RequestShape(
        scope_separator=",", basic="raw", authorization_names={"scope": "user_scope"}
    ),
    response=ResponseShape(token_at=(("authed_user",), ()), token_types=_TOKEN_TYPES),
    error=_ERROR,
)
