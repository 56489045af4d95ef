"""Microsoft: Entra ID (Azure AD), both versions of its endpoints."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: Version 1 sends numbers as strings, and ``verification_url`` in device authorization responses.
#: Both versions have their own error codes for the device flow, and details of an error in
#: ``suberror``.
#:
#: - "OAuth 2.0 authorization code flow",
#:   https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow
#: - "OAuth 2.0 device authorization grant",
#:   https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code
#: - "Authorize access using OAuth 2.0 and Azure AD (v1.0)",
#:   https://learn.microsoft.com/en-us/previous-versions/azure/active-directory/azuread-dev/v1-protocols-oauth-code
MICROSOFT = Dialect(
    name="microsoft",
    request=RequestShape(client_auth="client_secret_post"),
    response=ResponseShape(names={"verification_url": "verification_uri"}),
    error=ErrorShape(
        reason_at=(("suberror",),),
        codes={
            "authorization_declined": "access_denied",
            "bad_verification_code": "invalid_grant",
        },
    ),
)
