"""Slack: the app's token, and the person's."""

from __future__ import annotations

from grantway._wire.dialect import Dialect, ErrorShape, RequestShape, ResponseShape

# Every answer has status 200 and says with ``ok`` whether it is a success.
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
# "bot" and "user" say whose token it is; both are presented as Bearer.
_TOKEN_TYPES = {"bot": "Bearer", "user": "Bearer"}

#: The app's own token: ``ok: false`` with status 200, scopes separated by commas, a token_type that
#: says whose it is.
#:
#: - "Installing with OAuth", https://docs.slack.dev/authentication/installing-with-oauth
#: - "oauth.v2.access", https://docs.slack.dev/reference/methods/oauth.v2.access
SLACK = Dialect(
    name="slack",
    request=RequestShape(scope_separator=",", basic="raw"),
    response=ResponseShape(token_types=_TOKEN_TYPES),
    error=_ERROR,
)

#: The person's token: scopes go into ``user_scope``, and the token is in ``authed_user``. The
#: answer to a refresh holds it at the top.
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
