"""DPoP at the issuer's endpoints (RFC 9449)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import WireRequest, WireResponse
from grantway_plugins.server._proofs.nonces import Nonces

if TYPE_CHECKING:
    from grantway_plugins.server._proofs.proof import ProofVerifier

#: Endpoints that bind a token or a code to the key of a proof (RFC 9449 sections 5 and 10.1).
BINDING = frozenset({"/token", "/par"})


class VerifyProofs:
    """Verifies the DPoP proof of a request; see ``WireRequest.proof``.

    Args:
        verifier: Verifies proofs.
        url: The issuer's URL. Proofs contain the URL that clients use, also behind a proxy.
    """

    def __init__(self, verifier: ProofVerifier, url: str) -> None:
        self._verifier = verifier
        self._url = url

    def applies(self, request: WireRequest) -> bool:
        """See ``Preparation``."""
        return request.dpop is not None or (request.path in BINDING and "dpop" in request.headers)

    async def prepare(self, request: WireRequest) -> WireRequest:
        """See ``Preparation``."""
        url = self._url + request.path
        header = request.headers.get("dpop")
        proof = self._verifier.verify(header, request.method, url, request.dpop)
        confirmation = {**request.confirmation, "jkt": proof.thumbprint}
        return replace(request, proof=proof, confirmation=confirmation)


def verify_proofs(issuer: Issuer, store: IssuerStore) -> VerifyProofs | None:
    """Return the step that verifies proofs, or None if the extra ``jose`` is not installed."""
    settings, algorithms = issuer.settings, proof_algorithms(fapi2=issuer.settings.fapi2)
    if not algorithms:
        return None
    from grantway_plugins.server._proofs.proof import (  # noqa: PLC0415 - needs the extra jose
        ProofVerifier,
    )

    verifier = ProofVerifier(
        issuer.clock,
        settings.dpop_proof_seconds,
        nonces=nonces_of(issuer, store),
        algorithms=algorithms,
    )
    return VerifyProofs(verifier, settings.url)


def nonces_of(issuer: Issuer, store: IssuerStore) -> Nonces | None:
    """Return the nonces, which all replicas of an issuer share, or None if proofs need none."""
    if not issuer.settings.dpop_require_nonce:
        return None
    return Nonces(store.form_key, issuer.settings.url, issuer.clock)


def with_nonce(
    outcome: WireResponse | Denial, request: WireRequest, nonces: Nonces | None
) -> WireResponse | Denial:
    """Return the outcome of a request with the nonce for the client's next proof."""
    if nonces is None or "dpop" not in request.headers:
        return outcome
    header = (b"dpop-nonce", nonces.current().encode())
    return replace(outcome, headers=(*outcome.headers, header))
