"""Meta: Facebook, Instagram, Threads."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

_REQUEST = RequestShape(scope_separator=",", client_auth="client_secret_post")
# Ignore the number next to it, which only repeats the status.
_ERROR = ErrorShape(code_at=(("error_type",),), description_at=(("error_message",),))

#: ``error`` is an object with a numeric code; scopes are separated by commas; old API versions
#: respond with a form that has ``expires`` instead of ``expires_in``.
#:
#: - "Handle Errors", https://developers.facebook.com/docs/graph-api/guides/error-handling
#: - "Manually Build a Login Flow",
#:   https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
FACEBOOK = Dialect(
    name="facebook",
    request=_REQUEST,
    response=ResponseShape(names={"expires": "expires_in"}),
    error=ErrorShape(
        code_at=(("error", "code"), ("error", "type")),
        description_at=(("error", "message"),),
        reason_at=(("error", "error_subcode"),),
        codes={
            "1": "server_error",
            "2": "temporarily_unavailable",
            "4": "temporarily_unavailable",
            "100": "invalid_request",
            "190": "invalid_grant",
        },
    ),
)

#: The token is in a list, ``data``, and its scope is named ``permissions``; an error has
#: ``error_type`` and ``error_message``.
#:
#: - "Business Login for Instagram",
#:   https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
INSTAGRAM = Dialect(
    name="instagram",
    request=_REQUEST,
    response=ResponseShape(token_at=(("data", "0"), ()), names={"permissions": "scope"}),
    error=_ERROR,
)

#: An error has ``error_type`` and ``error_message``; the response has no ``token_type``.
#:
#: - "Get Access Tokens and Permissions",
#:   https://developers.facebook.com/docs/threads/get-started/get-access-tokens-and-permissions
THREADS = Dialect(name="threads", request=_REQUEST, error=_ERROR)
