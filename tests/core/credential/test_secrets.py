"""Output, logs, errors and the locals of tracebacks contain no secrets."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import GrantwayError, StoreSaveError
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import Clock, issue, reject, token, wait_for_refreshes
from tests.faults import Act

#: Secrets that must not appear. Constants, because local variables of tests are printed too.
SECRETS = (
    "at-very-secret-0123456789",
    "rt-very-secret-0123456789",
    "new-at-very-secret-0123456789",
    "new-rt-very-secret-0123456789",
    "seed-very-secret-0123456789",
    "cs-very-secret-0123456789",
    "code-very-secret-0123456789",
    "extra-very-secret-0123456789",
    "refresh-very-secret-0123456789",
)
SEED: dict[str, Any] = {
    "grant_type": "refresh_token",
    "refresh_token": SECRETS[4],
    "extra": {"ticket": SECRETS[7]},
    "refresh": {"ticket": SECRETS[8]},
}
CODE: dict[str, Any] = {
    "grant_type": "authorization_code",
    "code": SECRETS[6],
    "redirect_uri": "http://127.0.0.1/callback",
    "code_verifier": SECRETS[6] * 2,
    "extra": {"ticket": SECRETS[7]},
}
NEW = issue(access_token=SECRETS[2], refresh_token=SECRETS[3])
FAILURES = [
    pytest.param(reject(), id="refused"),
    pytest.param(reject("invalid_client", 401), id="client"),
    pytest.param(faults.respond(500, b""), id="500"),
    pytest.param(faults.respond(200, b"<html>"), id="page"),
    pytest.param(faults.reset_after_request, id="lost"),
]


def held() -> Token:
    return token(1, access_token=SECRETS[0], refresh_token=SECRETS[1])


def shown(error: BaseException) -> str:
    """Return the traceback with the locals of all frames, except those of this file."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = repr(error) + str(error)
    part: traceback.TracebackException | None = report
    while part is not None:
        frames = [frame for frame in part.stack if frame.filename != __file__]
        assert any(frame.locals for frame in frames)
        part.stack = traceback.StackSummary.from_list(frames)
        part = part.__cause__ or part.__context__
    return text + "".join(report.format())


def assert_clean(*texts: str) -> None:
    for text in texts:
        assert [secret for secret in SECRETS if secret in text] == []


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all log records."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("act", FAILURES)
@pytest.mark.parametrize("with_store", [True, False])
def test_a_failed_refresh_shows_no_secret(
    act: Act, with_store: bool, start: Start, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    client, _ = start(act)
    store = FaultyStore() if with_store else None
    credential = client.credential(grant_type="refresh_token", store=store)
    credential.accept(held())
    clock.step(3500)
    credential.token()
    wait_for_refreshes()
    assert credential.last_error is not None
    assert_clean(shown(credential.last_error))
    clock.step(100)
    for _ in range(2):
        with pytest.raises(GrantwayError) as caught:
            credential.token(0.01)
        assert_clean(shown(caught.value))
    assert "refresh failed" in log.text
    assert_clean(log.text, repr(credential), str(credential), repr(credential._config))


@pytest.mark.parametrize("act", FAILURES)
@pytest.mark.parametrize("given", [SEED, CODE], ids=["seed", "code"])
def test_a_failed_first_token_shows_no_secret(
    act: Act, given: dict[str, Any], start: Start, log: pytest.LogCaptureFixture
) -> None:
    client, _ = start(act)
    credential = client.credential(**given)
    for _ in range(2):
        with pytest.raises(GrantwayError) as caught:
            credential.token(0.01 if credential.last_error else None)
        assert_clean(shown(caught.value))
    assert_clean(log.text, repr(credential), credential.key)


def test_a_failed_save_and_a_failed_on_token_show_no_secret(
    start: Start, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    def fail(new: Token) -> None:
        raise LookupError(f"cannot record {new}")

    client, _ = start(NEW)
    store = FaultyStore()
    credential = client.credential(grant_type="refresh_token", store=store, on_token=fail)
    credential.accept(held())
    clock.step(3600)
    store.full = True
    for _ in range(2):
        with pytest.raises(StoreSaveError) as caught:
            credential.token()
        assert caught.value.token is not None
        assert_clean(shown(caught.value))
    store.full = False
    for _ in range(2):
        with pytest.raises(LookupError) as raised:
            credential.token()
        assert_clean(shown(raised.value))
    assert_clean(log.text)


@pytest.mark.parametrize("made", ["credential", "credential_pool"])
def test_an_unknown_parameter_shows_no_secret(made: str, start: Start) -> None:
    client, _ = start(NEW)
    make: Callable[..., Any] = getattr(client, made)
    with pytest.raises(GrantwayError) as caught:
        make(**CODE, scoep=SECRETS[0])
    assert_clean(shown(caught.value))
