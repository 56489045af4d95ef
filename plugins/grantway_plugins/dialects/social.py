"""Discord, LinkedIn, Spotify, TikTok, Twitch."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: Follows the standard; accepts only forms.
#:
#: - "OAuth2", https://discord.com/developers/docs/topics/oauth2
DISCORD = Dialect(name="discord")

#: ``token_type`` may be missing; scopes in responses are separated by commas.
#:
#: - "Authorization Code Flow (3-legged OAuth)",
#:   https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
LINKEDIN = Dialect(
    name="linkedin",
    request=RequestShape(client_auth="client_secret_post"),
    response=ResponseShape(scope_separators=","),
)

#: Basic credentials are not form-encoded; the response to a refresh may have no refresh token, and
#: the old one remains valid.
#:
#: - "Authorization Code Flow",
#:   https://developer.spotify.com/documentation/web-api/tutorials/code-flow
#: - "Refreshing tokens",
#:   https://developer.spotify.com/documentation/web-api/tutorials/refreshing-tokens
SPOTIFY = Dialect(name="spotify", request=RequestShape(basic="raw"))

#: The client ID is sent as ``client_key``; requests and responses separate scopes by commas.
#:
#: - "Manage User Access Tokens",
#:   https://developers.tiktok.com/doc/oauth-user-access-token-management
#: - "Error Handling", https://developers.tiktok.com/doc/oauth-error-handling
TIKTOK = Dialect(
    name="tiktok",
    request=RequestShape(
        names={"client_id": "client_key"},
        authorization_names={"client_id": "client_key"},
        scope_separator=",",
        client_auth="client_secret_post",
    ),
)

#: A device login sends ``scopes``; the response has a list of scopes; the error is in ``message``,
#: and the optional ``error`` only repeats the status.
#:
#: - "Getting OAuth Access Tokens",
#:   https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/
#: - "Refreshing Access Tokens", https://dev.twitch.tv/docs/authentication/refresh-tokens/
TWITCH = Dialect(
    name="twitch",
    request=RequestShape(names={"scope": "scopes"}, client_auth="client_secret_post"),
    error=ErrorShape(
        code_at=(("message",),),
        description_at=(("message",),),
        codes={
            "Invalid authorization code": "invalid_grant",
            "Invalid refresh token": "invalid_grant",
            "invalid client": "invalid_client",
            "invalid client secret": "invalid_client",
            "invalid device code": "invalid_grant",
        },
    ),
)
