"""Settings that require more of clients than the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_seconds
from grantway_plugins.server._proofs.algorithms import ALGORITHMS, verifies_proofs

if TYPE_CHECKING:
    from ._settings import IssuerSettings

_FLAGS = ("dpop_require_nonce", "require_bound_tokens", "require_pushed_authorization_requests")


def check_security(settings: IssuerSettings) -> None:
    """Validate the settings.

    Raises:
        ConfigurationError: a setting is invalid; the error names it.
    """
    for name in _FLAGS:
        if not isinstance(getattr(settings, name), bool):
            _reject(name, "must be true or false")
    check_seconds("dpop_proof_seconds", settings.dpop_proof_seconds, least=10.0, most=600.0)
    if settings.dpop_require_nonce and not verifies_proofs():
        _reject("dpop_require_nonce", "requires the extra jose: pip install 'grantway[jose]'")


def proof_algorithms() -> tuple[str, ...]:
    """Return the algorithms of accepted DPoP proofs; empty without the extra ``jose``."""
    return ALGORITHMS if verifies_proofs() else ()


def _reject(name: str, rule: str) -> None:
    raise ConfigurationError(f"{name} {rule}", errors={name: [rule]})
