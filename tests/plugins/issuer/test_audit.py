"""The audit log: one line for each event, in either format, without secrets."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from grantway._exceptions import FlowError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._audit_log import OF_PEER, AuditLog, logger
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.operator_clients import (
    add_client,
    remove_client,
    rotate_secret,
)
from grantway_plugins.issuer._storage.errors import DatabaseBusyError, DatabaseOutcomeUnknownError
from grantway_plugins.issuer._storage.jobs import Done
from grantway_plugins.issuer._storage.prepared import Prepared
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.tables import device_codes
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._log_format import JsonFormatter, TextFormatter
from tests.plugins.issuer.conftest import BASIC, CALLBACK, DEVICE, Caller, Clock
from tests.waiting import PATIENCE, until

_NAME = {"register_rfc": "client_name", "register_aws": "clientName"}
#: The random part of every secret that the issuer makes.
_SECRET = re.compile(r"gw[a-z]_")


class Listener(logging.Handler):
    """A log handler that formats each record in both formats."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.json: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(TextFormatter().format(record))
        line = JsonFormatter().format(record)
        assert len(line.splitlines()) == len(self.text[-1].splitlines()) == 1
        assert not _SECRET.search(line + self.text[-1])
        self.json.append(json.loads(line))

    def take(self) -> list[dict[str, Any]]:
        """Return the new events, without the fields that all events have."""
        events, self.json, self.text = self.json, [], []
        for each in events:
            assert each.pop("logger") == "grantway.audit"
            assert each.pop("level") == "INFO"
            assert each.pop("time").endswith("Z")
        return events

    def only(self) -> dict[str, Any]:
        (event,) = self.take()
        return event


@contextmanager
def listening() -> Iterator[Listener]:
    handler, level = Listener(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def log(rfc: Caller) -> Iterator[Listener]:
    """The audit log after the registration of a client."""
    with listening() as handler:
        yield handler


def request_of(caller: Caller, endpoint: str) -> dict[str, str]:
    return {"endpoint": endpoint, "peer": "127.0.0.1", "issuer": caller.url}


def test_logs_a_login_but_not_a_refresh(rfc: Caller, log: Listener) -> None:
    tokens = rfc.login()
    approval, login = log.take()
    assert approval == {
        "event": "approval",
        "client_id": rfc.id,
        "subject": "local-user",
        **request_of(rfc, "/authorize"),
    }
    family = login.pop("family_id")
    assert family in tokens["access_token"]
    assert login == {
        "event": "login",
        "client_id": rfc.id,
        "subject": "local-user",
        "grant_type": "authorization_code",
        "scope": "a b",
        **request_of(rfc, "/token"),
    }
    assert rfc.refresh(tokens["refresh_token"]).ok
    assert rfc.active(tokens["access_token"])
    assert log.take() == []


def test_logs_a_device_login_as_one_approval_and_one_login(
    rfc: Caller, log: Listener, clock: Clock
) -> None:
    started = rfc.start()
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"
    with BrowserDriver() as driver:
        driver.approve_device(started["verification_uri_complete"])
    clock.tick(10)
    assert rfc.poll(started["device_code"]).ok
    approval, login = log.take()
    assert (approval["event"], approval["client_id"]) == ("approval", rfc.id)
    assert (login["event"], login["grant_type"]) == ("login", DEVICE)
    assert started["user_code"] not in str((approval, login))


def test_logs_a_denial_on_the_device_page_and_the_rejected_poll(rfc: Caller, log: Listener) -> None:
    started = rfc.start()
    with BrowserDriver() as driver:
        driver.deny_device(started["verification_uri_complete"])
    denied = log.only()
    assert denied["endpoint"] == "/device"
    assert (denied["event"], denied["error"]) == ("denial", "access_denied")
    assert (denied["client_id"], denied["subject"]) == (rfc.id, "local-user")
    rfc.poll(started["device_code"])
    polled = log.only()
    assert (polled["event"], polled["error"], polled["client_id"], polled["grant_type"]) == (
        "denial",
        "access_denied",
        rfc.id,
        DEVICE,
    )


def test_logs_a_denial_on_the_authorization_page(rfc: Caller, log: Listener) -> None:
    with BrowserDriver() as driver:
        driver.deny_authorization(rfc.authorize_url())
    denied = log.only()
    assert (denied["event"], denied["error"]) == ("denial", "access_denied")
    assert (denied["client_id"], denied["endpoint"]) == (rfc.id, "/authorize")


@pytest.mark.parametrize(
    ("params", "error"),
    [({"redirect_uri": "https://evil.example"}, "invalid_request"), ({"scope": "c"}, None)],
)
def test_logs_an_invalid_authorization_request_as_a_denial(
    rfc: Caller, log: Listener, params: dict[str, str], error: str | None
) -> None:
    requests.get(rfc.authorize_url(**params), timeout=PATIENCE, allow_redirects=False)
    denied = log.only()
    assert (denied["event"], denied["error"]) == ("denial", error or "invalid_scope")
    assert denied.get("client_id") == (None if error else rfc.id)


def test_logs_a_wrong_user_code_without_the_code(rfc: Caller, log: Listener) -> None:
    with BrowserDriver() as driver, pytest.raises(FlowError):
        driver.approve_device(f"{rfc.url}/device", "BCDF-GHJK")
    assert log.only() == {"event": "wrong_user_code", **request_of(rfc, "/device")}


def test_logs_a_throttled_user_code_as_a_denial(rfc: Caller, log: Listener) -> None:
    url = f"{rfc.url}/device?user_code=BCDF-GHJK"
    responses = [requests.get(url, timeout=PATIENCE).status_code for _ in range(12)]
    events = log.take()
    assert responses[-1] == 429
    assert [each["event"] for each in events] == ["wrong_user_code"] * 10 + ["denial"] * 2
    assert events[-1]["error"] == "slow_down"


def test_logs_one_replay_for_a_replayed_code(rfc: Caller, log: Listener) -> None:
    code = rfc.sent_back()["code"]
    assert rfc.redeem(code).ok
    family = log.take()[-1]["family_id"]
    rfc.redeem(code)
    event = log.only()
    assert event["event"] == "replay"
    assert (event["family_id"], event["client_id"], event["subject"]) == (
        family,
        rfc.id,
        "local-user",
    )
    assert (event["grant_type"], event["error"]) == ("authorization_code", "invalid_grant")


def test_logs_one_replay_for_a_replayed_refresh_token(
    rfc: Caller, log: Listener, clock: Clock
) -> None:
    first = rfc.login()["refresh_token"]
    family = log.take()[-1]["family_id"]
    rfc.refresh(first)
    clock.tick(3600)
    rfc.refresh(first)
    event = log.only()
    assert event["event"] == "replay"
    assert (event["family_id"], event["client_id"], event["subject"]) == (
        family,
        rfc.id,
        "local-user",
    )
    assert (event["grant_type"], event["error"]) == ("refresh_token", "invalid_grant")
    rfc.refresh(first)
    assert log.only()["event"] == "denial"  # the login has already been revoked


def test_logs_what_was_revoked(rfc: Caller, log: Listener) -> None:
    tokens = rfc.login()
    family = log.take()[-1]["family_id"]
    for kind in ("access_token", "refresh_token"):
        assert rfc.as_rfc("/revoke", token=tokens[kind]).ok
        assert log.only() == {
            "event": "revocation",
            "client_id": rfc.id,
            "subject": "local-user",
            "family_id": family,
            "token_type": kind,
            **request_of(rfc, "/revoke"),
        }
    assert rfc.as_rfc("/revoke", token="unknown").ok
    assert log.take() == []


def test_logs_registrations_in_both_dialects(rfc: Caller, log: Listener) -> None:
    with Caller(rfc.url) as one, Caller(rfc.url) as other:
        for made in (one.register_rfc, other.register_aws):
            client_id = made(**{_NAME[made.__name__]: "A tool"}).id
            event = log.only()
            assert event["event"] == "registration"
            assert (event["client_id"], event["client_name"]) == (client_id, "A tool")


def test_logs_a_rejected_registration_as_a_denial() -> None:
    with IssuerServer(IssuerSettings(registration="off")) as server, listening() as log:
        requests.post(f"{server.url}/register", json={"grant_types": [1]}, timeout=PATIENCE)
        event = log.only()
    assert (event["event"], event["error"], event["endpoint"]) == (
        "denial",
        "access_denied",
        "/register",
    )


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device_authorization"])
def test_failed_client_authentication_logs_only_registered_client_ids(
    rfc: Caller, log: Listener, path: str
) -> None:
    misplaced = "a-secret-in-the-wrong-field"
    data = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
    for client_id, named in ((rfc.id, rfc.id), (misplaced, None)):
        response = requests.post(
            f"{rfc.url}{path}", data, auth=(client_id, "wrong-secret"), timeout=PATIENCE
        )
        assert response.status_code == 401
        event = log.only()
        assert (event["event"], event["error"]) == ("denial", "invalid_client")
        assert event.get("client_id") == named
        assert "wrong-secret" not in str(event)
        assert misplaced not in str(event)


def test_logs_an_invalid_parameter_as_a_denial(rfc: Caller, log: Listener) -> None:
    rfc.rfc("/token", grant_type="nonsense")
    assert log.only()["error"] == "unsupported_grant_type"
    requests.post(f"{rfc.url}/register", json={"grant_type": ["x"], "scope": 3}, timeout=PATIENCE)
    assert log.only()["event"] == "denial"


def test_logs_a_logout_from_the_aws_portal(clock: Clock) -> None:
    from grantway_plugins.issuer._aws_portal.accounts import AwsAccount  # noqa: PLC0415

    account = AwsAccount("111122223333", "Dev", "dev@example.com", {})
    settings_ = IssuerSettings(
        registration="unrestricted",
        default_scopes=("sso:account:access",),
        aws_accounts=(account,),
    )
    with IssuerServer(settings_, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc(scope="sso:account:access")
        tokens = caller.login()
        with listening() as log:
            headers = {"x-amz-sso_bearer_token": tokens["access_token"]}
            assert requests.post(f"{server.url}/logout", headers=headers, timeout=PATIENCE).ok
            event = log.only()
    assert (event["event"], event["token_type"]) == ("revocation", "refresh_token")
    assert (event["endpoint"], event["client_id"]) == ("/logout", caller.id)


def test_logs_changes_by_the_operator(server: IssuerServer, log: Listener) -> None:
    made = add_client(server.store, {"client_name": "gw", "grant_types": ["client_credentials"]})
    rotate_secret(server.store, made["client_id"])
    remove_client(server.store, made["client_id"])
    events = log.take()
    assert [each["event"] for each in events] == [
        "registration",
        "secret_rotation",
        "client_removal",
    ]
    assert {(each["client_id"], each["endpoint"]) for each in events} == {
        (made["client_id"], "operator")
    }


def test_logs_an_event_once_if_its_work_ran_twice(
    rfc: Caller, log: Listener, server: IssuerServer
) -> None:
    code = rfc.sent_back()["code"]
    log.take()
    busy, go_on = threading.Event(), threading.Event()

    def hold(_transaction: Any) -> None:
        busy.set()
        go_on.wait(PATIENCE)

    def fail(_transaction: Any) -> None:
        raise LookupError

    def queued() -> int:
        return server.store._jobs.qsize()

    with ThreadPoolExecutor(3) as threads:
        held = threads.submit(server.store.run, hold)
        assert busy.wait(PATIENCE)
        redeemed = threads.submit(rfc.redeem, code)
        until(lambda: queued() == 1)
        # Rolls back the batch of both jobs, so that each runs again separately.
        failed = threads.submit(server.store.run, fail)
        until(lambda: queued() == 2)
        go_on.set()
        held.result(PATIENCE)
        assert redeemed.result(PATIENCE).ok
        with pytest.raises(LookupError):
            failed.result(PATIENCE)
    assert log.only()["event"] == "login"


def test_logs_only_committed_events(
    rfc: Caller, log: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = rfc.sent_back()["code"]
    log.take()
    failure: Exception = DatabaseBusyError("busy")

    def lost(_store: IssuerStore, _work: Any, done: Done, **_options: Any) -> Any:
        done(None, failure)

    monkeypatch.setattr(IssuerStore, "start", lost)
    assert rfc.redeem(code).status_code == 503
    assert log.take() == []
    failure = DatabaseOutcomeUnknownError("lost")
    assert rfc.redeem(code).status_code == 503
    event = log.only()
    assert (event["event"], event["endpoint"]) == ("outcome_unknown", "/token")


def test_unauthenticated_events_are_rate_limited(rfc: Caller, log: Listener) -> None:
    audit = AuditLog(rfc.url)
    for _ in range(OF_PEER + 40):
        audit.record(AuditEvent("denial", error="invalid_client"), "/token", "192.0.2.1")
    assert len(log.take()) == OF_PEER
    audit.record(AuditEvent("replay"), "/token", "192.0.2.1")
    audit.record(AuditEvent("denial"), "/token", "192.0.2.2")
    audit.record(AuditEvent("denial"), "/token", "192.0.2.2")
    assert [each.get("suppressed") for each in log.take()] == [None, 40, None]
    for _ in range(OF_PEER * 2):
        audit.record(AuditEvent("login"), "/token", "192.0.2.1")
    assert len(log.take()) == OF_PEER * 2


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    client_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    name=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=100),
)
def test_a_client_cannot_forge_a_log_line(
    rfc: Caller, log: Listener, client_id: str, name: str
) -> None:
    log.take()
    forged = client_id + "\n2026-01-01T00:00:00.000Z INFO grantway.audit login \x1b[2J"
    requests.post(
        f"{rfc.url}/token",
        json={"clientId": forged, "clientSecret": "s", "grantType": "refresh_token"},
        timeout=PATIENCE,
    )
    requests.post(f"{rfc.url}/revoke", {"token": "x", "client_id": forged}, timeout=PATIENCE)
    made = requests.post(
        f"{rfc.url}/register",
        json={"client_name": f'{name} event="login"', "redirect_uris": [CALLBACK]},
        timeout=PATIENCE,
    )
    lines = [*log.text]
    events = log.take()
    assert len(events) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert all(each["event"] != "login" for each in events)
    assert all(
        f" INFO grantway.audit {each['event']} " in line
        for each, line in zip(events, lines, strict=True)
    )
    if made.ok:
        assert events[-1]["client_name"] == f'{name} event="login"'


def test_logs_no_secrets(server: IssuerServer, clock: Clock) -> None:
    with listening() as log, Caller(server.url) as caller:
        caller.register_rfc(token_endpoint_auth_method=BASIC)
        tokens = caller.login()
        started = caller.start()
        caller.poll(started["device_code"])
        caller.refresh(tokens["refresh_token"])
        clock.tick(3600)
        caller.refresh(tokens["refresh_token"])
        caller.as_rfc("/revoke", token=tokens["access_token"])
        shown = "\n".join(log.text) + json.dumps(log.json)
    secrets = [caller.secret, *tokens.values(), started["device_code"], started["user_code"]]
    for secret in secrets:
        if isinstance(secret, str) and secret not in {"Bearer", "a b"}:
            assert secret not in shown


def test_a_decision_about_a_deleted_device_code_has_no_effect(
    rfc: Caller, log: Listener, server: IssuerServer
) -> None:
    started = rfc.start()
    page = rfc.http.get(started["verification_uri_complete"], timeout=PATIENCE)
    fields = dict(re.findall(r'name="(csrf|user_code)"[^>]*value="([^"]*)"', page.text))
    server.store.run(
        lambda transaction: transaction._cursor.change(Prepared(sa.delete(device_codes)), {})
    )
    response = rfc.http.post(
        f"{rfc.url}/device", {**fields, "decision": "approve"}, timeout=PATIENCE
    )
    assert response.status_code == 400
    assert "expired" in response.text
    assert log.take() == []
