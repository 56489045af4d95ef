"""Fitbit and Withings."""

from __future__ import annotations

from typing import Any

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: An error is a list, ``errors``, of ``errorType`` and ``message``, beside ``success: false``;
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


def _detect_invalid_grant(found: dict[str, Any]) -> dict[str, Any]:
    """Detect ``invalid_grant`` by the text, because all invalid parameters have the same status."""
    text = str(found.get("error", "")).lower()
    if found.get("status") and ("invalid code" in text or "invalid refresh_token" in text):
        return {**found, "code": "invalid_grant"}
    return found


#: Every request names an ``action``; scopes are separated by commas; the token is in ``body``.
#: Every response has HTTP status 200 and a member ``status``, which is 0 on success. The old
#: refresh token remains valid for eight hours, or until the new access token is used.
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
    amend=_detect_invalid_grant,
)
