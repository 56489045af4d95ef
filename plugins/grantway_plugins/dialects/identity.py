"""Identity services: Auth0, Keycloak, Okta, WorkOS."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape

#: Follows the standard. A rotated refresh token may be used again only if the tenant configures an
#: overlap period, which is off by default. In that case, set its length in seconds with
#: ``dataclasses.replace(AUTH0, replay_window=...)``.
#:
#: - "Configure Refresh Token Rotation",
#:   https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-rotation
#: - "Authentication API: get token",
#:   https://auth0.com/docs/api/authentication/authorization-code-flow/get-token
AUTH0 = Dialect(name="auth0", request=RequestShape(client_auth="client_secret_post"))

#: Follows the standard. Reuse of a refresh token is limited by a count, not by time.
#:
#: - "Securing applications with OpenID Connect",
#:   https://www.keycloak.org/securing-apps/oidc-layers
#: - "Server Administration Guide: session and token timeouts",
#:   https://www.keycloak.org/docs/latest/server_admin/index.html#_timeouts
KEYCLOAK = Dialect(name="keycloak")

#: Some errors have Okta's general shape, ``errorCode`` and ``errorSummary``. A rotated refresh
#: token remains valid for 30 seconds unless the application sets another grace period.
#:
#: - "Refresh access tokens and rotate refresh tokens",
#:   https://developer.okta.com/docs/guides/refresh-tokens/main/
#: - "Okta error codes", https://developer.okta.com/docs/reference/error-codes/
OKTA = Dialect(
    name="okta",
    error=ErrorShape(
        code_at=(("error",), ("errorCode",)),
        description_at=(("error_description",), ("errorSummary",)),
    ),
    replay_window=30,
)

#: The response has neither ``token_type`` nor ``expires_in``; some errors have ``code`` and
#: ``message``. A refresh may be repeated within 30 seconds if its response was lost.
#:
#: - "Session resilience", https://workos.com/docs/authkit/session-resilience
#: - "Authentication", https://workos.com/docs/reference/authkit/authentication
WORKOS = Dialect(
    name="workos",
    request=RequestShape(client_auth="client_secret_post"),
    error=ErrorShape(code_at=(("error",), ("code",))),
    replay_window=30,
)
