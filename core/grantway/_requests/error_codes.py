"""OAuth error codes: the exception class of each, and advice for users."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway._exceptions import TOKEN_ERRORS, TokenError, UnknownTokenError

#: Error code -> class, for the standard codes.
STANDARD: Mapping[str, type[TokenError]] = {kind.wire: kind for kind in TOKEN_ERRORS}
#: Every error code of the OAuth registry -> advice. A code without a class becomes
#: ``UnknownTokenError`` or the class that a plugin registered.
REGISTERED: Mapping[str, str] = MappingProxyType(
    {
        # RFC 6749: the token endpoint and the authorization endpoint
        "invalid_request": "check the parameters against what this provider documents",
        "invalid_client": "check client_id, client_secret and the client authentication method; "
        "the registration may have expired",
        "invalid_grant": "the code or refresh token is used, expired, revoked or "
        "issued to another client; log in again",
        "unauthorized_client": "allow this grant in the client's registration",
        "unsupported_grant_type": "this provider does not know the grant",
        "invalid_scope": "request only scopes that the client is registered for",
        "access_denied": "the user or a policy denied the request",
        "unsupported_response_type": "this provider does not offer the authorization code flow",
        "server_error": "the provider failed; it may have processed the request",
        "temporarily_unavailable": "try again later",
        # RFC 8628: device authorization
        "authorization_pending": "poll again after the interval",
        "slow_down": "add five seconds to the interval",
        "expired_token": "start the device login again",
        # RFC 7009: revocation
        "unsupported_token_type": "this provider cannot revoke this kind of token",
        # RFC 8693 and 8707: token exchange, resource indicators
        "invalid_target": "request a resource or audience that the client may use",
        # RFC 6750 and 9470: using a token
        "invalid_token": "get another access token",
        "insufficient_scope": "log in again and request more scope",
        "insufficient_user_authentication": "log in again with the requested acr_values",
        # OpenID Connect Core and its extensions
        "interaction_required": "log in at a browser, without prompt=none",
        "login_required": "log in at a browser, without prompt=none",
        "consent_required": "log in at a browser and consent, without prompt=none",
        "account_selection_required": "log in at a browser and choose an account",
        "unmet_authentication_requirements": "log in with the requested acr_values",
        "registration_not_supported": "leave out the parameter registration",
        # RFC 9101 and 9126: signed and pushed requests
        "invalid_request_uri": "push the request again; it may be used once and expires soon",
        "invalid_request_object": "check the key and the claims of the signed request",
        "request_not_supported": "send the parameters without a signed request",
        "request_uri_not_supported": "send the parameters without request_uri",
        # RFC 9449: DPoP
        "invalid_dpop_proof": "check this machine's clock and the key of the proof",
        "use_dpop_nonce": "send the request again with the nonce of the DPoP-Nonce header",
        # RFC 7591: registration
        "invalid_redirect_uri": "register a redirect URI that this provider accepts",
        "invalid_client_metadata": "correct the field that the provider names",
        "invalid_software_statement": "get another software statement",
        "unapproved_software_statement": "have the software statement approved by this provider",
        # RFC 9396: rich authorization requests
        "invalid_authorization_details": "check authorization_details against the provider's types",
        # RFC 9200: ACE
        "unsupported_pop_key": "use a kind of key that this provider supports",
        "incompatible_ace_profiles": "use an ACE profile that this provider supports",
        # OpenID CIBA
        "expired_login_hint_token": "get another login_hint_token",
        "unknown_user_id": "the hint names a user that this provider does not know",
        "missing_user_code": "ask the user for the user code",
        "invalid_user_code": "ask the user for the user code again",
        "invalid_binding_message": "use a shorter binding_message of plain characters",
        "transaction_failed": "start the authentication again",
        # UMA 2.0
        "need_info": "provide the claims that the provider requests",
        "request_denied": "the resource owner denied the request",
        "request_submitted": "try again later; the resource owner has not decided yet",
    }
)


def error_class(code: str, more: Mapping[str, type[TokenError]]) -> type[TokenError]:
    """Return the class of an error code; ``UnknownTokenError`` by default.

    Args:
        code: The error code.
        more: The registry's classes, which do not override the standard ones.
    """
    return STANDARD.get(code) or more.get(code) or UnknownTokenError
