"""Atlassian, CrowdStrike, Notion."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape

#: Follows the standard. A rotated refresh token may be used again for ten minutes.
#:
#: - "Implementing the Refresh Token Flow",
#:   https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens/
#: - "The old access token will be revoked during the refresh token exchange",
#:   https://community.developer.atlassian.com/t/the-old-access-token-will-be-revoked-during-the-refresh-token-exchange/83103
ATLASSIAN = Dialect(
    name="atlassian",
    request=RequestShape(client_auth="client_secret_post"),
    replay_window=10 * 60,
)

#: A success has status 201; an error is a list, ``errors``, of a number and a text.
#:
#: - "OAuth2: oauth2AccessToken", https://github.com/CrowdStrike/falconpy/wiki/oauth2
CROWDSTRIKE = Dialect(
    name="crowdstrike",
    request=RequestShape(client_auth="client_secret_post"),
    error=ErrorShape(
        code_at=(("errors", "0", "code"),),
        description_at=(("errors", "0", "message"),),
        codes={
            "400": "invalid_request",
            "401": "invalid_client",
            "403": "access_denied",
            "500": "server_error",
        },
    ),
)

#: The request is JSON, with Basic credentials that are not form-encoded.
#:
#: - "Authorization", https://developers.notion.com/docs/authorization
#: - "Create a token", https://developers.notion.com/reference/create-a-token
NOTION = Dialect(name="notion", request=RequestShape(encoding="json", basic="raw"))
