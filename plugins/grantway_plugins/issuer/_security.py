"""Settings that require more of clients than the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_seconds
from grantway_plugins.server._proofs.algorithms import ALGORITHMS, verifies_proofs

if TYPE_CHECKING:
    from ._settings import IssuerSettings

_FLAGS = (
    "dpop_require_nonce",
    "require_bound_tokens",
    "require_pushed_authorization_requests",
    "fapi2",
)
#: Client authentication methods and signature algorithms of the FAPI 2.0 Security Profile (sections
#: 5.3.2.1 and 5.4.1).
FAPI2_METHODS = frozenset({"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"})
_FAPI2_ALGORITHMS = ("ES256", "PS256", "EdDSA", "Ed25519")
#: Maximum lifetimes of that profile, in seconds: below 600 for pushed requests.
_FAPI2_CODE, _FAPI2_PUSHED_REQUEST = 60.0, 599.0


def check_security(settings: IssuerSettings) -> None:
    """Validate the settings.

    Raises:
        ConfigurationError: a setting is invalid; the error names it.
    """
    for name in _FLAGS:
        if not isinstance(getattr(settings, name), bool):
            _reject(name, "must be true or false")
    for name in ("fapi2", "dpop_require_nonce", "require_bound_tokens"):
        if getattr(settings, name) and not verifies_proofs():
            _reject(name, "requires the extra jose: pip install 'grantway[jose]'")
    check_seconds("dpop_proof_seconds", settings.dpop_proof_seconds, least=10.0, most=600.0)


def implied_by_fapi2(settings: IssuerSettings) -> Mapping[str, Any]:
    """Return the settings that ``fapi2`` implies."""
    lifetimes = settings.lifetimes
    return {
        "require_bound_tokens": True,
        "require_pushed_authorization_requests": True,
        "lifetimes": replace(
            lifetimes,
            authorization_code=min(lifetimes.authorization_code, _FAPI2_CODE),
            pushed_request=min(lifetimes.pushed_request, _FAPI2_PUSHED_REQUEST),
        ),
    }


def proof_algorithms(*, fapi2: bool = False) -> tuple[str, ...]:
    """Return the algorithms of DPoP proofs and client assertions; empty without ``jose``.

    Args:
        fapi2: Whether to return only those that the FAPI 2.0 Security Profile permits.
    """
    if not verifies_proofs():
        return ()
    return _FAPI2_ALGORITHMS if fapi2 else ALGORITHMS


def _reject(name: str, rule: str) -> None:
    raise ConfigurationError(f"{name} {rule}", errors={name: [rule]})
