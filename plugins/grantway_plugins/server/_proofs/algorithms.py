"""Signature algorithms of DPoP proofs (RFC 9449), without the libraries that verify them."""

from __future__ import annotations

from importlib.util import find_spec

#: Signature algorithms of accepted proofs.
ALGORITHMS = (
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
)


def verifies_proofs() -> bool:
    """Return whether the libraries that verify proofs are installed (extra ``jose``)."""
    return find_spec("joserfc") is not None and find_spec("cryptography") is not None
