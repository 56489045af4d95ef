"""Clients that are identified by the URL of a Client ID Metadata Document."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway._plugins.default_registry import default_registry
from grantway_plugins.issuer import ClientDocuments, IssuerServer, IssuerSettings
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._clients.document_url import url_problem
from grantway_plugins.issuer._clients.documents import ClientDocumentReader, DocumentError
from grantway_plugins.issuer._clients.fetching import MAX_DOCUMENT, Fetched, FetchError
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.operator_clients import remove_client
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from tests.plugins.issuer.conftest import CALLBACK, DEVICE, Caller, Clock
from tests.plugins.issuer.published import Published
from tests.plugins.issuer.test_private_key_jwt import KEY, Signer, jwks
from tests.postgres import PostgresServer
from tests.waiting import PATIENCE


class Publisher(Published):
    """A web server that publishes the document of a client."""

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.body: bytes | None = None
        super().__init__("/client.json", self.content, "application/json")

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        document = {
            "client_id": self.url,
            "client_name": "A tool",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token", DEVICE],
            **self.changes,
        }
        return json.dumps(document).encode()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    running = Publisher()
    yield running
    running.close()


SETTINGS = IssuerSettings(
    client_documents=ClientDocuments(private_hosts=("127.0.0.1",)), default_scopes=("a", "b")
)


@pytest.fixture
def tool(clock: Clock, publisher: Publisher) -> Iterator[Caller]:
    """A client with a document and without a registration."""
    with IssuerServer(SETTINGS, clock=clock) as running, Caller(running.url) as caller:
        caller.id, caller.method = publisher.url, "none"
        yield caller


def refused(response: requests.Response) -> str:
    assert response.status_code == 400, response.text
    return response.text


def test_a_client_logs_in_without_registration(tool: Caller, publisher: Publisher) -> None:
    tokens = tool.login()
    assert tokens["scope"] == "a b"
    refreshed = tool.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    tool.login()
    assert publisher.reads == 1
    metadata = tool.http.get(f"{tool.url}/.well-known/oauth-authorization-server").json()
    assert metadata["client_id_metadata_document_supported"] is True


def test_a_device_logs_in_without_registration(tool: Caller) -> None:
    assert tool.start()["user_code"]


def test_the_page_shows_the_host_of_the_document(tool: Caller) -> None:
    page = tool.http.get(tool.authorize_url()).text
    assert "published at <strong>127.0.0.1</strong>" in page
    assert "A tool" in page


def test_a_login_survives_an_unreachable_document(tool: Caller, publisher: Publisher) -> None:
    publisher.headers["Cache-Control"] = "no-store"
    tokens = tool.login()
    publisher.status = 503
    assert tool.refresh(tokens["refresh_token"]).status_code == 200


def test_a_client_without_a_stored_document_is_read_at_the_token_endpoint(
    tool: Caller, publisher: Publisher
) -> None:
    response = tool.refresh("gwr_unknown")
    assert response.json()["error"] == "invalid_grant"
    assert publisher.reads == 1


def test_unknown_grants_and_scopes_of_a_document_are_ignored(
    clock: Clock, publisher: Publisher
) -> None:
    settings = IssuerSettings(
        client_documents=SETTINGS.client_documents,
        registration_scopes=("a",),
        default_scopes=("a",),
    )
    publisher.changes = {
        "scope": "a admin",
        "grant_types": ["authorization_code", "client_credentials", "urn:x", {}],
    }
    with IssuerServer(settings, clock=clock) as running, Caller(running.url) as caller:
        caller.id, caller.method = publisher.url, "none"
        assert caller.login()["scope"] == "a"
        denied = caller.as_rfc("/token", grant_type="client_credentials")
        assert denied.json()["error"] == "unauthorized_client"


INVALID: list[tuple[str, dict[str, Any]]] = [
    ("must be equal", {"client_id": "https://other.example/client.json"}),
    ("must be equal", {"client_id": None}),
    ("not secret", {"client_secret": "x"}),
    ("not secret", {"token_endpoint_auth_method": "client_secret_basic"}),
    ("redirect_uris", {"redirect_uris": []}),
    ("redirect_uris", {"redirect_uris": ["javascript:alert(1)"]}),
    ("client_name", {"client_name": "a\u202eb"}),
    ("token_endpoint_auth_method", {"token_endpoint_auth_method": "magic"}),
    ("token_endpoint_auth_method", {"token_endpoint_auth_method": ["none"]}),
]


@pytest.mark.parametrize(("rule", "changes"), INVALID)
def test_an_invalid_document_is_rejected_with_its_rule(
    tool: Caller, publisher: Publisher, rule: str, changes: dict[str, Any]
) -> None:
    publisher.changes = changes
    page = refused(tool.http.get(tool.authorize_url(), allow_redirects=False))
    assert "cannot be identified" in page
    assert rule in page
    response = tool.as_rfc("/device_authorization")
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"
    assert rule in response.json()["error_description"]


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ((404, {}, b""), "status 404"),
        ((500, {}, b""), "status 500"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "redirect"),
        ((200, {"Content-Type": "text/html"}, b"{}"), "application/json"),
        ((200, {}, b"[]"), "JSON object"),
        ((200, {}, b"{"), "JSON object"),
        ((200, {}, b'{"client_id": 1, "client_id": 2}'), "JSON object"),
        ((200, {}, b" " * (MAX_DOCUMENT + 1)), "larger than"),
        ((200, {}, b"[" * 60_000), "JSON object"),
    ],
)
def test_an_unusable_document_is_rejected(
    tool: Caller, publisher: Publisher, answer: tuple[int, dict[str, str], bytes], rule: str
) -> None:
    publisher.status, headers, publisher.body = answer
    publisher.headers |= headers
    assert rule in refused(tool.http.get(tool.authorize_url(), allow_redirects=False))


def test_a_withdrawn_document_ends_new_logins(tool: Caller, publisher: Publisher) -> None:
    publisher.headers["Cache-Control"] = "max-age=0"
    tool.login()
    publisher.status = 404
    with IssuerServer(SETTINGS) as other:  # has not read the document
        url = tool.authorize_url().replace(tool.url, other.url)
        assert "status 404" in refused(tool.http.get(url, allow_redirects=False))


def test_a_client_that_was_removed_is_read_again(clock: Clock, publisher: Publisher) -> None:
    """The issuer itself removes unused clients when there are too many."""
    with IssuerServer(SETTINGS, clock=clock) as running, Caller(running.url) as caller:
        caller.id, caller.method = publisher.url, "none"
        caller.login()
        remove_client(running.store, publisher.url)
        caller.login()
    assert publisher.reads == 2


def test_a_confidential_client_may_name_itself_in_its_assertion_only(
    tool: Caller, publisher: Publisher, clock: Clock
) -> None:
    publisher.changes = {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(KEY)}
    assertion = Signer(tool, clock).assertion()
    response = tool.rfc(
        "/device_authorization",
        client_assertion=assertion,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    assert response.status_code == 200, response.text


def test_a_client_is_not_accepted_after_documents_are_disabled(
    clock: Clock, publisher: Publisher, tmp_path: Path
) -> None:
    database = tmp_path / "issuer.db"
    with (
        IssuerServer(SETTINGS, clock=clock, database=database) as running,
        Caller(running.url) as caller,
    ):
        caller.id, caller.method = publisher.url, "none"
        tokens = caller.login()
    settings = IssuerSettings(default_scopes=("a", "b"))
    with (
        IssuerServer(settings, clock=clock, database=database) as running,
        Caller(running.url) as caller,
    ):
        caller.id, caller.method = publisher.url, "none"
        assert caller.refresh(tokens["refresh_token"]).status_code == 401
        page = caller.http.get(caller.authorize_url(), allow_redirects=False)
        assert "not registered" in refused(page)


class Reading:
    """Documents in a database without a server, fetched by a stand-in."""

    def __init__(self, store: IssuerStore, rate: int = 1000) -> None:
        settings = replace(SETTINGS, issuer="http://127.0.0.1:1", registration_rate=rate)
        self.now, self.reads = 0.0, 0
        self.answer, self.busy = asyncio.Event(), asyncio.Event()
        self.problem: FetchError | None = None
        self.name = "A tool"
        self.events: list[AuditEvent] = []
        self.reader = ClientDocumentReader(
            ClientDocuments(private_hosts=("127.0.0.1",)),
            Issuer.of(default_registry(), settings),
            store,
            self,  # type: ignore[arg-type]
            audit=AuditLog("http://127.0.0.1:1", self.events.append),
            timer=lambda: self.now,
            patience=0.01,
        )

    async def fetch(self, url: str) -> Fetched:
        self.reads += 1
        if self.reads > 16:
            self.busy.set()
        await self.answer.wait()
        if self.problem is not None:
            raise self.problem
        document = {"client_id": url, "client_name": self.name, "redirect_uris": [CALLBACK]}
        return Fetched(json.dumps(document).encode(), 60.0)

    async def ensure(self, name: str) -> None:
        await self.reader.ensure(f"http://127.0.0.1:1/{name}", "192.0.2.1")


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres.url


@pytest.fixture
def store() -> Iterator[IssuerStore]:
    with closing(IssuerStore(":memory:")) as opened:
        yield opened


def test_slow_servers_do_not_make_other_clients_wait(store: IssuerStore) -> None:
    async def check() -> None:
        reading = Reading(store)
        reading.answer.set()
        await reading.ensure("known")
        reading.now += 61  # it is read again, if possible
        reading.answer.clear()
        slow = [asyncio.create_task(reading.ensure(f"slow{number}")) for number in range(16)]
        await reading.busy.wait()
        await reading.ensure("known")
        with pytest.raises(DocumentError, match="too many documents"):
            await reading.ensure("new")
        reading.answer.set()
        await asyncio.gather(*slow)
        await reading.ensure("new")

    asyncio.run(check())


def test_two_issuers_on_one_database_may_read_a_document_at_once(postgres_url: str) -> None:
    """The second one waits for the transaction of the first one, and then replaces its row."""

    async def check(one: IssuerStore, two: IssuerStore) -> None:
        first = Reading(one)
        first.answer.set()
        await first.ensure("known")
        client = await one.arun(lambda transaction: transaction.clients.all()[0])
        await one.arun(lambda transaction: transaction.clients.remove(client.client_id, 0.0))
        added = threading.Event()

        def add_slowly(transaction: Transaction) -> None:
            transaction.clients.put(client, 10)
            added.set()
            time.sleep(0.3)

        slow = asyncio.create_task(one.arun(add_slowly))
        await asyncio.to_thread(added.wait, PATIENCE)
        second = Reading(two)
        second.answer.set()
        await second.ensure("known")
        await slow

    with closing(IssuerStore(postgres_url)) as one, closing(IssuerStore(postgres_url)) as two:
        asyncio.run(check(one, two))


def test_the_audit_log_contains_new_and_changed_documents(store: IssuerStore) -> None:
    async def check() -> None:
        reading = Reading(store)
        reading.answer.set()
        for reading.name in ("A tool", "A tool", "Another tool"):
            await reading.ensure("known")
            reading.now += 61
        assert reading.reads == 3
        assert [(each.name, each.client_name) for each in reading.events] == [
            ("registration", "A tool"),
            ("registration", "Another tool"),
        ]

    asyncio.run(check())


def test_a_known_client_works_while_its_address_sends_too_many_requests(store: IssuerStore) -> None:
    async def check() -> None:
        reading = Reading(store, rate=2)
        reading.answer.set()
        await reading.ensure("known")
        reading.now += 61
        await reading.ensure("other")
        await reading.ensure("known")
        with pytest.raises(DocumentError, match="too many"):
            await reading.ensure("new")

    asyncio.run(check())


def test_a_withdrawn_client_stays_rejected_after_too_many_requests(store: IssuerStore) -> None:
    async def check() -> None:
        reading = Reading(store, rate=2)
        reading.answer.set()
        await reading.ensure("known")
        reading.now += 61
        reading.problem = FetchError("gone", final=True)
        for rule in ("gone", "too many"):
            with pytest.raises(DocumentError, match=rule):
                await reading.ensure("known")

    asyncio.run(check())


def test_an_unreachable_document_is_not_read_for_each_request(store: IssuerStore) -> None:
    async def check() -> None:
        reading = Reading(store)
        reading.answer.set()
        await reading.ensure("known")
        reading.now += 61
        reading.problem = FetchError("timed out")
        for _ in range(3):
            await reading.ensure("known")
        assert reading.reads == 2

    asyncio.run(check())


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://app.example/client.json", "https"),
        ("https://app.example", "path"),
        ("https://app.example/", "path"),
        ("https://user@app.example/c", "user"),
        ("https://app.example/c#part", "fragment"),
        ("https://app.example/a/../c", "dot"),
        ("https://app.example/a/%2E%2e/c", "dot"),
        ("https://app.example/a b", "characters"),
        ("https://app.example/ö", "characters"),
        ("https://app.example\\@evil.example/c", "characters"),
        ("https://[::1/c", "not a URL"),
        ("https://app.example:99999/c", "not a URL"),
        (f"https://app.example/{'c' * 1024}", "longer"),
        ("https://other.example/c", "does not accept"),
    ],
)
def test_the_url_of_a_document_has_rules(url: str, rule: str) -> None:
    problem = url_problem(url, ClientDocuments(hosts=("app.example",)))
    assert problem is not None
    assert rule in problem


def test_a_private_host_is_not_read(publisher: Publisher) -> None:
    settings = IssuerSettings(client_documents=ClientDocuments())
    with IssuerServer(settings) as running, Caller(running.url) as caller:
        for host in ("localhost", "127.0.0.1", "[::1]", "169.254.169.254"):
            caller.id = f"https://{host}:{publisher.url.rsplit(':', 1)[1]}"
            page = refused(caller.http.get(caller.authorize_url(), allow_redirects=False))
            assert "not on the public internet" in page
    assert publisher.reads == 0


def test_documents_are_off_by_default(rfc: Caller, publisher: Publisher) -> None:
    rfc.id = publisher.url
    assert "not registered" in refused(rfc.http.get(rfc.authorize_url(), allow_redirects=False))
    assert publisher.reads == 0
    metadata = rfc.http.get(f"{rfc.url}/.well-known/oauth-authorization-server").json()
    assert "client_id_metadata_document_supported" not in metadata


def test_one_address_cannot_cause_many_reads(clock: Clock, publisher: Publisher) -> None:
    settings = IssuerSettings(client_documents=SETTINGS.client_documents, registration_rate=3)
    with IssuerServer(settings, clock=clock) as running, Caller(running.url) as caller:
        for number in range(5):
            caller.id = f"{publisher.url}?{number}"
            page = refused(caller.http.get(caller.authorize_url(), allow_redirects=False))
    assert "too many" in page
    assert publisher.reads == 3
