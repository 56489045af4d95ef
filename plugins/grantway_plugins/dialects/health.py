"""Fitbit and Withings."""

from __future__ import annotations

from typing import Any

from grantway._wire.dialect import Dialect, ErrorShape, RequestShape, ResponseShape

#: A refusal is a list, ``errors``, of ``errorType`` and ``message``, beside ``success: false``;
#: Basic credentials are not form-encoded.
#:
#: - "Error Handling",
#:   https://dev.fitbit.com/build/reference/web-api/troubleshooting-guide/error-handling/
#: - "Refresh Token",
#:   https://dev.fitbit.com/build/reference/web-api/authorization/refresh-token/
FITBIT = Dialect(
    name="fitbit",
    request=RequestShape(basic="raw"),
    error=ErrorShape(
        code_at=(("errors", "0", "errorType"),),
        description_at=(("errors", "0", "message"),),
        ok=("success", True),
    ),
)


def _name_what_is_spent(found: dict[str, Any]) -> dict[str, Any]:
    """One number stands for every bad parameter; only the text says that it is the grant's."""
    text = str(found.get("error", "")).lower()
    if found.get("status") and ("invalid code" in text or "invalid refresh_token" in text):
        return {**found, "code": "invalid_grant"}
    return found


#: Every request names an ``action``; scopes are separated by commas; the token is in ``body``.
#: Every answer has status 200, and a ``status`` of its own that is 0 in a success. The old
#: refresh token stays good for eight hours, or until the new access token is used.
#:
#: - "Access and refresh tokens",
#:   https://developer.withings.com/developer-guide/v3/integration-guide/dropship-cellular/get-access/access-and-refresh-tokens/
#: - "API reference: OAuth2", https://developer.withings.com/api-reference/#tag/oauth2
#: - "FAQ", https://developer.withings.com/developer-guide/faq/faq/
WITHINGS = Dialect(
    name="withings",
    request=RequestShape(
        constants={"action": "requesttoken"},
        scope_separator=",",
        client_auth="client_secret_post",
    ),
    response=ResponseShape(token_at=(("body",),)),
    error=ErrorShape(
        code_at=(("code",), ("status",)),
        description_at=(("error",),),
        codes={"503": "invalid_request", "601": "temporarily_unavailable"},
        ok=("status", 0),
    ),
    replay_window=8 * 60 * 60,
    amend=_name_what_is_spent,
)
