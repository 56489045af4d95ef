"""Steps that need the network or much processor time, before a request's transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer._clients.client_of_assertion import client_of_assertion
from grantway_plugins.issuer._clients.document_url import looks_like_url
from grantway_plugins.issuer._clients.documents import ClientDocumentReader, DocumentError
from grantway_plugins.issuer._clients.fetching import Fetcher
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._trust.claim_rules import TYPES
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
        return any(name in request.params for name in TYPES)

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
    if request.basic:
        return request.basic[0]
    return request.params.get("client_id") or client_of_assertion(request.params)


def verify_assertions(issuer: Issuer, store: IssuerStore, fetcher: Fetcher) -> Preparation | None:
    """Return the step for ``private_key_jwt``, or None without the extra ``jose``."""
    if not proof_algorithms():
        return None
    from grantway_plugins.issuer._clients.assertions import (  # noqa: PLC0415 - needs the extra jose
        VerifyClientAssertions,
    )

    settings = issuer.settings
    return VerifyClientAssertions(
        settings.url,
        store,
        issuer.clock,
        fetcher,
        fapi2=settings.fapi2,
        reads_per_minute=settings.registration_rate,
    )


def verify_certificates(issuer: Issuer, store: IssuerStore) -> Preparation | None:
    """Return the step for client certificates, or None if the settings have none.

    Raises:
        ConfigurationError: the authorities cannot be read, or the extra ``jose`` is missing.
    """
    settings = issuer.settings.client_certificates
    if settings is None:
        return None
    if not proof_algorithms():
        rule = "require the extra jose: pip install 'grantway[jose]'"
        raise ConfigurationError(
            f"client_certificates {rule}", errors={"client_certificates": [rule]}
        )
    from grantway_plugins.issuer._clients.certificates import (  # noqa: PLC0415 - needs the extra jose
        VerifyClientCertificates,
    )

    return VerifyClientCertificates(settings, store, issuer.clock)


def preparations(
    issuer: Issuer,
    store: IssuerStore,
    fetcher: Fetcher,
    documents: ClientDocumentReader | None,
) -> tuple[Preparation, ...]:
    """Return the steps of an issuer, in order."""
    trusted = trusted_tokens(issuer)
    steps = (
        None if documents is None else ReadClientDocument(documents),
        verify_proofs(issuer, store),
        None if trusted is None else VerifyTrustedTokens(trusted),
        verify_assertions(issuer, store, fetcher),
        verify_certificates(issuer, store),
    )
    return tuple(step for step in steps if step is not None)
