"""GitHub."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: Errors have status 200 and GitHub's own codes; scopes are separated by commas; without
#: ``Accept: application/json`` the response is a form.
#:
#: - "Authorizing OAuth apps",
#:   https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
#: - "Troubleshooting OAuth app access token request errors",
#:   https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
#: - "Refreshing user access tokens",
#:   https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
GITHUB = Dialect(
    name="github",
    request=RequestShape(client_auth="client_secret_post"),
    response=ResponseShape(scope_separators=","),
    error=ErrorShape(
        codes={
            "bad_refresh_token": "invalid_grant",
            "bad_verification_code": "invalid_grant",
            "device_flow_disabled": "unauthorized_client",
            "incorrect_client_credentials": "invalid_client",
            "incorrect_device_code": "invalid_grant",
            "redirect_uri_mismatch": "invalid_grant",
        }
    ),
)
