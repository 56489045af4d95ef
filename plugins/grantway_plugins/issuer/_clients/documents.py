"""Clients that are identified by the URL of a Client ID Metadata Document.

See draft-ietf-oauth-client-id-metadata-document.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cachetools import LRUCache, TLRUCache

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.rate_limit import PeerRateLimit
from grantway_plugins.issuer._decisions.registration_policy import Terms
from grantway_plugins.issuer._http.endpoints.registration import new_client, registration_event
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import parse_json

from .document_settings import ClientDocuments
from .document_url import looks_like_url, url_problem
from .fetching import DEADLINE, LEAST_AGE, Fetched, Fetcher, FetchError

#: Maximum number of documents whose age is remembered, and of fetches at the same time.
_REMEMBERED, _AT_ONCE = 10_000, 16
#: Authentication methods with a shared secret, which a public document cannot use.
_WITH_SECRET = ("client_secret_basic", "client_secret_post", "client_secret_jwt")


class DocumentError(Exception):
    """A client's document is not accepted. The message continues "The client_id ..."."""


class ClientDocumentReader(OneProcess):
    """Reads the documents of clients and stores the clients in the database.

    Args:
        settings: Which documents are accepted.
        issuer: The issuer.
        store: The database.
        fetcher: Fetches documents.
        audit: Logs new and changed clients.
        timer: A clock that never runs backwards, in seconds.
        patience: Time for which a request waits while too many documents are read, in seconds.
    """

    def __init__(
        self,
        settings: ClientDocuments,
        issuer: Issuer,
        store: IssuerStore,
        fetcher: Fetcher,
        *,
        audit: AuditLog | None = None,
        timer: Callable[[], float] = time.monotonic,
        patience: float = DEADLINE,
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._store = store
        self._fetcher = fetcher
        self._audit = audit
        self._patience = patience
        self._limit = PeerRateLimit(issuer.settings.registration_rate)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._reading: dict[str, asyncio.Task[None]] = {}
        #: The documents that need not be fetched again yet.
        self._fresh: TLRUCache[str, float] = TLRUCache(
            _REMEMBERED, ttu=lambda _, age, now: now + age, timer=timer
        )
        #: The documents that were missing or invalid at the last attempt.
        self._rejected: LRUCache[str, bool] = LRUCache(_REMEMBERED)

    async def ensure(self, client_id: object, peer: str, *, starts: bool = True) -> None:
        """Read the document of a client if its id is a URL, unless that was done recently.

        If the document cannot be fetched now, a client that is known already stays usable.

        Args:
            client_id: The client id of a request.
            peer: Address that sent the request.
            starts: Whether the request starts a login. For others, a public client that is known
                needs no newer document.

        Raises:
            DocumentError: the document is missing or invalid.
        """
        if not looks_like_url(client_id):
            return
        url = str(client_id)
        problem = url_problem(url, self._settings)
        if problem is not None:
            raise DocumentError(problem)
        # A fresh document is not enough: unused clients are deleted when there are too many.
        stored = await self._stored(url)
        if stored is not None and (
            url in self._fresh or (not starts and stored.authentication.method == "none")
        ):
            return
        reading = self._reading.get(url)
        if reading is None:
            if self._limit.take(peer) > 0:
                if stored is not None and url not in self._rejected:
                    return
                raise DocumentError("cannot be read now: too many documents; try again later")
            reading = asyncio.create_task(self._read(url, peer))
            self._reading[url] = reading
            reading.add_done_callback(lambda done: self._finish(url, done))
        await asyncio.shield(reading)

    def _finish(self, url: str, done: asyncio.Task[None]) -> None:
        del self._reading[url]
        if not done.cancelled():
            done.exception()  # no request may be waiting for it any more

    async def _read(self, url: str, peer: str) -> None:
        try:
            await self._store_document(url, peer)
        except DocumentError:
            self._rejected[url] = True
            raise
        self._rejected.pop(url, None)

    async def _store_document(self, url: str, peer: str) -> None:
        try:
            fetched = await self._fetch(url)
        except FetchError as error:
            if error.final or await self._stored(url) is None:
                raise DocumentError(f"is not the URL of a readable document: {error}") from None
            self._fresh[url] = LEAST_AGE  # the next request need not wait for it as well
            return
        client = self._client(url, fetched.body)
        limit = self._issuer.settings.registration_limit

        def put(transaction: Transaction) -> tuple[RegisteredClient | None, bool]:
            return transaction.clients.lock(url), transaction.clients.put(client, limit)

        before, is_stored = await self._store.arun(put)
        if not is_stored:
            raise DocumentError("cannot be stored: the issuer has reached its limit of clients")
        self._fresh[url] = fetched.max_age
        if self._audit is not None and not _is_same(client, before):
            self._audit.record(registration_event(client), "document", peer)

    async def _fetch(self, url: str) -> Fetched:
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError:
            raise FetchError("too many documents are being read; try again later") from None
        try:
            return await self._fetcher.fetch(url)
        finally:
            self._slots.release()

    async def _stored(self, url: str) -> RegisteredClient | None:
        client = await self._store.arun(lambda transaction: transaction.clients.find(url))
        return None if client is None or self._issuer.clock() >= client.expires_at else client

    def _client(self, url: str, document: bytes) -> RegisteredClient:
        settings = self._issuer.settings
        try:
            members = self._permitted(_members(url, document))
            client, _ = new_client(
                self._issuer,
                members,
                Terms(
                    frozenset(settings.registration_grant_types),
                    settings.registration_scopes,
                    anonymous=True,
                ),
                self._issuer.clock() + settings.lifetimes.registration,
            )
        except DenialError as error:
            problem = error.denial.description
        else:
            name = client.name if "client_name" in members else urlsplit(url).hostname or url
            return replace(client, client_id=url, name=name)
        raise DocumentError(f"is the URL of an invalid document: {problem}")

    def _permitted(self, members: dict[str, Any]) -> dict[str, Any]:
        """Leave out grants and scopes that this issuer does not offer; others may."""
        settings = self._issuer.settings
        grants = members.get("grant_types")
        if isinstance(grants, list):
            offered = [
                each for each in settings.registration_grant_types if each in self._issuer.grants
            ]
            members["grant_types"] = [each for each in grants if each in offered]
        scope, allowed = members.get("scope"), settings.registration_scopes
        if isinstance(scope, str) and allowed is not None:
            members["scope"] = " ".join(each for each in scope.split() if each in allowed)
        return {name: value for name, value in members.items() if value not in ("", [])}


def _is_same(client: RegisteredClient, before: RegisteredClient | None) -> bool:
    """Return whether only the times of a registration have changed."""
    return before is not None and client == replace(
        before, issued_at=client.issued_at, expires_at=client.expires_at
    )


def _members(url: str, document: bytes) -> dict[str, Any]:
    """Return the members of a document after checking those that only documents have.

    Raises:
        DocumentError: a member is invalid.
    """
    try:
        members = parse_json(document)
    except DenialError:
        raise DocumentError("is the URL of a document that is not a JSON object") from None
    if members.get("client_id") != url:
        raise DocumentError("differs from the client_id in its document; they must be equal")
    method = members.setdefault("token_endpoint_auth_method", "none")
    if method in _WITH_SECRET or {"client_secret", "client_secret_expires_at"} & members.keys():
        raise DocumentError("is the URL of a document with a client secret, which is not secret")
    return members
