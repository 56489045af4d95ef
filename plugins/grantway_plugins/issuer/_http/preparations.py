"""Steps that need the network or much processor time, before a request's transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from grantway_plugins.issuer._clients.document_url import looks_like_url
from grantway_plugins.issuer._clients.documents import ClientDocumentReader, DocumentError
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.parameters import error_description
from grantway_plugins.server._http.wire import WireRequest

from .dpop import verify_proofs
from .trusted_tokens import trusted_tokens

if TYPE_CHECKING:
    from grantway_plugins.issuer._trust.verification import TrustedTokens


class Preparation(Protocol):
    """A step that adds its result to requests."""

    def applies(self, request: WireRequest) -> bool:
        """Return whether the step is needed for a request. It must be quick."""
        ...

    async def prepare(self, request: WireRequest) -> WireRequest:
        """Return the request with the step's result.

        Raises:
            DenialError: the request is invalid.
            KeysUnavailableError: the keys of another issuer cannot be read.
        """
        ...


class VerifyTrustedTokens:
    """Verifies tokens of trusted issuers; see ``WireRequest.trusted``."""

    def __init__(self, tokens: TrustedTokens) -> None:
        self._tokens = tokens

    def applies(self, request: WireRequest) -> bool:
        """See ``Preparation``."""
        return True

    async def prepare(self, request: WireRequest) -> WireRequest:
        """See ``Preparation``."""
        return replace(request, trusted=await self._tokens.of_async(request.params))


class ReadClientDocument:
    """Reads the Client ID Metadata Document of a client whose id is a URL."""

    def __init__(self, documents: ClientDocumentReader) -> None:
        self._documents = documents

    def applies(self, request: WireRequest) -> bool:
        """See ``Preparation``."""
        return looks_like_url(_client_id(request))

    async def prepare(self, request: WireRequest) -> WireRequest:
        """See ``Preparation``."""
        starts = "grant_type" not in request.params and "token" not in request.params
        try:
            await self._documents.ensure(_client_id(request), request.peer, starts=starts)
        except DocumentError as error:
            problem = error_description(f"The client_id {error}")
        else:
            return request
        raise DenialError("invalid_client", problem)


def _client_id(request: WireRequest) -> object:
    return request.basic[0] if request.basic else request.params.get("client_id")


def preparations(
    issuer: Issuer, store: IssuerStore, documents: ClientDocumentReader | None
) -> tuple[Preparation, ...]:
    """Return the steps of an issuer, in order."""
    steps: list[Preparation] = []
    if documents is not None:
        steps.append(ReadClientDocument(documents))
    proofs = verify_proofs(issuer, store)
    if proofs is not None:
        steps.append(proofs)
    trusted = trusted_tokens(issuer)
    if trusted is not None:
        steps.append(VerifyTrustedTokens(trusted))
    return tuple(steps)
