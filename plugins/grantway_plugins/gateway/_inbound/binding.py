"""Bind refresh tokens and codes to the caller they were issued to (RFC 6749 section 10.4).

The provider sees all callers as one client, so it cannot check the owner of a refresh token or
code. Refresh tokens and device codes are therefore encrypted before a caller gets them, with the
caller's client ID as authenticated data. Nothing is stored: every process that has the key can
check the binding, also after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._secrets.params import Params
from grantway._types.grant import Grant
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.redirect_uri import is_registered
from grantway_plugins.stores.encrypted._sealing import NotSealedError, Sealer, SealError

from .first_presenters import FirstPresenters

if TYPE_CHECKING:
    from grantway_plugins.stores.encrypted._keys import KeySource

    from .clients import Principal

#: Prefix of sealed tokens and codes.
LAYOUT = "gwb1"

_REFRESH = "refresh_token"
_REFRESH_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"
#: Codes for polling; they are not sealed if the login was started elsewhere.
_POLLED = ("device_code", "auth_req_id")
#: Tokens of a token exchange (RFC 8693), which may be refresh tokens.
_EXCHANGED = ("subject_token", "actor_token")


class Binding:
    """Seals tokens and codes for callers, and opens those that callers present.

    Args:
        keys: The keys, newest first.
        upstream: Identifies the provider and the gateway's client there, so that a provider's
            tokens are never sent to another one.
    """

    def __init__(self, keys: KeySource, upstream: str) -> None:
        self._sealer = Sealer(keys, LAYOUT)
        self._upstream = upstream
        self._unsealed = FirstPresenters()

    def seal(self, kind: str, client_id: str, value: str) -> str:
        """Return a refresh token or code that only this caller can present."""
        return self._sealer.seal(
            value.encode("utf-8", "surrogatepass"), self._associated_data(kind, client_id)
        )

    def open_params(self, grant: Grant, params: Params, caller: Principal) -> None:
        """Replace sealed tokens and codes by those that the provider issued.

        Raises:
            DenialError: A token or code was not issued to this caller. Nothing was sent.
        """
        for name in (_REFRESH, *_POLLED):
            value = params.get(name)
            if isinstance(value, str):
                params[name] = self._open(name, caller.client_id, value)
        for name in _EXCHANGED:
            value = params.get(name)
            if isinstance(value, str) and params.get(f"{name}_type") == _REFRESH_TYPE:
                params[name] = self._open(_REFRESH, caller.client_id, value)
        if "code" in params and {"code", "redirect_uri"} <= set(grant.names.wire.values()):
            _check_code(grant, params, caller)

    def seal_members(self, members: Mapping[str, Any], client_id: str) -> dict[str, Any]:
        """Return a token response whose refresh tokens only this caller can present."""
        sealed: dict[str, Any] = self._sealed(members, client_id)
        if sealed.get("issued_token_type") == _REFRESH_TYPE:
            # A token exchange returns every kind of token as access_token (RFC 8693).
            sealed["access_token"] = self.seal(_REFRESH, client_id, sealed["access_token"])
        return sealed

    def _sealed(self, value: Any, client_id: str) -> Any:
        """Seal refresh tokens at any depth, such as Slack's in ``authed_user``."""
        if isinstance(value, Mapping):
            return {
                name: self.seal(_REFRESH, client_id, each)
                if name == _REFRESH and isinstance(each, str)
                else self._sealed(each, client_id)
                for name, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._sealed(each, client_id) for each in value]
        return value

    def _open(self, kind: str, client_id: str, value: str) -> str:
        name = kind.replace("_", " ")
        try:
            plain = self._sealer.open(value, self._associated_data(kind, client_id))
        except NotSealedError:
            if kind in _POLLED and self._unsealed.claim(value, client_id):
                return value
        except SealError:
            pass
        else:
            return plain.value.decode("utf-8", "surrogatepass")
        raise DenialError(
            "invalid_grant",
            f"This {name} was not issued to this client by this gateway, or the gateway's key has "
            "changed since then; log in again through the gateway",
        )

    def _associated_data(self, kind: str, client_id: str) -> str:
        return json.dumps([kind, client_id, self._upstream])


def _check_code(grant: Grant, params: Params, caller: Principal) -> None:
    """Check that an authorization code was sent to this caller (RFC 6749 section 4.1.3).

    The provider checks that the code belongs to the redirect URI and the verifier. This checks
    that the redirect URI belongs to the caller.
    """
    if "code_verifier" in grant.names.wire.values() and not params.get("code_verifier"):
        raise DenialError("invalid_request", "code_verifier is required at this gateway (RFC 7636)")
    if caller.redirect_uris is None:
        if caller.alone:
            return
        raise DenialError(
            "unauthorized_client",
            "The gateway has no redirect URIs for this client; its operator must list them in "
            "redirect_uris",
        )
    redirect_uri = params.get("redirect_uri")
    if not isinstance(redirect_uri, str):
        raise DenialError("invalid_request", "redirect_uri is required at this gateway")
    if not is_registered(redirect_uri, tuple(caller.redirect_uris)):
        raise DenialError(
            "invalid_grant", "The redirect_uri is not registered for this client at the gateway"
        )
