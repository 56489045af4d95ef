"""Run the database work of requests, and turn failures into responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork, failure_response, guarded
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse

from .dpop import nonces_of, with_nonce
from .health import Health
from .preparations import Preparation
from .trusted_tokens import keys_unavailable

#: Validates a request and returns the work to run in a transaction, or the response.
Prepare = Callable[[Issuer, WireRequest], UnitOfWork | WireResponse]


class Execution:
    """Runs the work of requests in the database.

    Args:
        issuer: The issuer.
        store: The database.
        audit: The audit log, which gets the client and grant of denials if it is enabled.
        health: Records failures of the database.
        preparations: Steps before the work of a request.
    """

    def __init__(
        self,
        issuer: Issuer,
        store: IssuerStore,
        audit: AuditLog,
        health: Health,
        preparations: tuple[Preparation, ...] = (),
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._audit = audit
        self._health = health
        self._preparations = preparations
        self._nonces = nonces_of(issuer, store)
        #: Algorithms of accepted DPoP proofs; empty if they are not supported.
        self.proof_algorithms = proof_algorithms(fapi2=issuer.settings.fapi2)
        self._tasks: set[asyncio.Task[WireResponse | Denial]] = set()

    async def run(self, prepare: Prepare, request: WireRequest) -> WireResponse | Denial:
        """Return the response to a request after its work is committed."""
        return with_nonce(await self._outcome(prepare, request), request, self._nonces)

    async def _outcome(self, prepare: Prepare, request: WireRequest) -> WireResponse | Denial:
        try:
            for preparation in self._preparations:
                if preparation.applies(request):
                    request = await preparation.prepare(request)
            work = prepare(self._issuer, request)
            if isinstance(work, WireResponse):
                return work
            return await self._store.arun(self._guarded(work, request))
        except Exception as error:  # noqa: BLE001 - uvicorn would log the error, which may contain a secret
            return self._failure(error, request)

    def start(
        self,
        prepare: Prepare,
        request: WireRequest,
        done: Callable[[WireResponse | Denial], object],
    ) -> None:
        """Do the same as ``run`` without a task, and call ``done`` with the response.

        Requests that need a preparation run in a task nevertheless.
        """
        for preparation in self._preparations:
            if preparation.applies(request):
                task = asyncio.get_running_loop().create_task(self.run(prepare, request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(lambda task: task.cancelled() or done(task.result()))
                return

        def finish(outcome: WireResponse | Denial) -> None:
            done(with_nonce(outcome, request, self._nonces))

        def receive(result: WireResponse | Denial, error: Exception | None) -> None:
            finish(result if error is None else self._failure(error, request))

        try:
            work = prepare(self._issuer, request)
        except Exception as error:  # noqa: BLE001 - as in run
            finish(self._failure(error, request))
            return
        if isinstance(work, WireResponse):
            finish(work)
        else:
            token = request.params.get("refresh_token")
            self._store.start(
                self._guarded(work, request),
                receive,
                refresh_token=token if isinstance(token, str) else None,
            )

    def _failure(self, error: Exception, request: WireRequest) -> WireResponse | Denial:
        if isinstance(error, DenialError):
            return error.denial
        if isinstance(error, KeysUnavailableError):
            return keys_unavailable(error, request.dialect)
        self._health.failed(error)
        return failure_response(error, request.dialect)

    def _guarded(self, work: UnitOfWork, request: WireRequest) -> UnitOfWork:
        client_id = grant_type = None
        if self._audit.is_enabled:
            client_id = request.basic[0] if request.basic else request.params.get("client_id")
            grant_type = request.params.get("grant_type")
            if not isinstance(grant_type, str) or grant_type not in self._issuer.grants:
                grant_type = None
        return guarded(work, client_id=client_id, grant_type=grant_type)
