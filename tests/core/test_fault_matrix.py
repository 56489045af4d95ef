"""The behaviour of each grant with each fault, as specified in the table below.

``python -m tests.core.test_fault_matrix`` prints the table in Markdown for the documentation.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from grantway import Client, Provider, Token
from grantway._exceptions import (
    ConnectionFailedError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    RedirectRefusedError,
    ResponseInvalidError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._plugins.building import build_registry
from grantway._plugins.registry import Registry
from grantway._requests.retry import RetryPolicy
from grantway._transport.transport import HttpTransport
from grantway._wire.dialect import RFC6749, Dialect
from grantway_grants.device_code import DeviceAuthorization, DeviceFlow
from tests import faults
from tests.bad_networks import ASKED, ASKED_BY_DATE, ASKED_TOO_LONG, FAULTS, Scene, scene
from tests.faults import FaultServer
from tests.waiting import PATIENCE

PAGE = Path(__file__).parents[2] / "docs/explanation/bad-networks.md"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: Name of the fault.
        error: Exception for a permanent fault; None if the fault has no effect.
        sends: Number of attempts for each grant, in the order of ``GRANTS``.
    """

    fault: str
    error: type[TransportError] | None
    sends: tuple[int, int, int, int, int]


NEVER_SENT = REFUSED = (3, 3, 3, 3, 3)
#: Retried only if the replay class allows it.
UNKNOWN = (1, 3, 1, 1, 3)
ONCE = (1, 1, 1, 1, 1)

SPECIFICATION = (
    # Nothing was sent, so every request may be retried.
    Row("connection refused", ConnectionFailedError, NEVER_SENT),
    Row("unknown host", ConnectionFailedError, NEVER_SENT),
    Row("TLS to a plain port", ConnectionFailedError, NEVER_SENT),
    # The closed connection is detected before anything is written to it.
    Row("kept connection closed between two calls", None, ONCE),
    # The request was sent, and its outcome is unknown.
    Row("reset before the first byte of the response", OutcomeUnknownError, UNKNOWN),
    Row("reset after the request was read", OutcomeUnknownError, UNKNOWN),
    Row("closed after the request was read", OutcomeUnknownError, UNKNOWN),
    Row("half a response", OutcomeUnknownError, UNKNOWN),
    Row("no response", OutcomeUnknownError, UNKNOWN),
    Row("body stalls", OutcomeUnknownError, UNKNOWN),
    # Slow bytes use up the deadline of the whole call, so no time is left for another attempt.
    Row("head drips", OutcomeUnknownError, ONCE),
    Row("body drips", OutcomeUnknownError, ONCE),
    Row("endless body", ResponseTooLargeError, ONCE),
    Row("302 to another host", RedirectRefusedError, ONCE),
    Row("307 to another host", RedirectRefusedError, ONCE),
    # The provider reports that it did not process the request.
    Row("429, Retry-After in seconds", ProviderUnavailableError, REFUSED),
    Row("429, Retry-After as a date", ProviderUnavailableError, REFUSED),
    Row("429, Retry-After of an hour", ProviderUnavailableError, ONCE),
    Row("503, Retry-After in seconds", ProviderUnavailableError, REFUSED),
    Row("503, Retry-After as a date", ProviderUnavailableError, REFUSED),
    Row("503, Retry-After of an hour", ProviderUnavailableError, ONCE),
    Row("500, HTML page", OutcomeUnknownError, UNKNOWN),
    Row("502, HTML page", OutcomeUnknownError, UNKNOWN),
    Row("504, HTML page", OutcomeUnknownError, UNKNOWN),
    # A complete response without a token: a retry would return the same.
    Row("200, HTML page", ResponseInvalidError, ONCE),
    Row("200, empty", ResponseInvalidError, ONCE),
    Row("200, truncated JSON", ResponseInvalidError, ONCE),
    Row("200, a list", ResponseInvalidError, ONCE),
    Row("200, access_token null", ResponseInvalidError, ONCE),
)
#: Shortest and longest wait after a Retry-After, in seconds. Dates have whole seconds.
WAITS = {"in seconds": (ASKED, ASKED), "as a date": (ASKED_BY_DATE - 2, ASKED_BY_DATE)}


# --- Grants -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One grant of the matrix."""

    grant_type: str
    params: dict[str, Any]
    dialect: Dialect = RFC6749

    @property
    def secrets(self) -> list[str]:
        """Values that must not appear in errors and logs."""
        return [*self.params.values(), CLIENT_SECRET]


CLIENT_SECRET = "cs-very-secret-0123456789"
REFRESH_TOKEN = "rt-very-secret-0123456789"
DEVICE_CODE = "dc-very-secret-0123456789"
REFRESH = {"refresh_token": REFRESH_TOKEN}
GRANTS = {
    # Without a replay window, reusing a rotated refresh token may revoke the login.
    "refresh token": Case("refresh_token", REFRESH),
    "refresh token, window of 30 s": Case(
        "refresh_token", REFRESH, Dialect(name="patient", replay_window=30)
    ),
    "authorization code": Case(
        "authorization_code", {"code": "ac-very-secret-0123456789", "code_verifier": "v" * 43}
    ),
    "device code": Case(
        "urn:ietf:params:oauth:grant-type:device_code", {"device_code": DEVICE_CODE}
    ),
    "a grant that is `SAFE`": Case("client_credentials", {}),
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_registry()


class Waits(threading.Event):
    """An event that is never set; records waits without waiting.

    Attributes:
        seconds: Duration of each wait.
        meanwhile: Function to call during each wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        self.meanwhile()
        return False


@dataclass
class Caller:
    """A client that requests tokens repeatedly with one grant."""

    client: Client
    case: Case
    waits: Waits = field(default_factory=Waits)

    def __call__(self) -> Token:
        return self.client.create_token(
            grant_type=self.case.grant_type, cancel=self.waits, **self.case.params
        )

    def poll(self) -> Token:
        """Wait for a device login as its flow does, without the pauses."""
        flow = DeviceFlow(self.client, pause=self.waits.seconds.append)
        return flow.wait(
            DeviceAuthorization(
                device_code=DEVICE_CODE,
                user_code="WDJB-MJHT",
                verification_uri="https://example.com/device",
                verification_uri_complete=None,
                expires_in=600,
                interval=5,
                started_at=time.monotonic(),
            ),
            cancel=self.waits,
        )


@contextmanager
def calling(registry: Registry, grant: str, fault: str, there: Scene) -> Iterator[Caller]:
    case = GRANTS[grant]
    if "drips" in fault:  # the call times out before a read does, also on a busy machine
        connecting, reading, whole = 0.1, 0.5, 0.6
    elif FAULTS[fault].slow:
        connecting, reading, whole = 0.3, 0.25, 20
    else:
        connecting, reading, whole = 5, 10, 20
    transport = HttpTransport(connect_timeout=connecting, read_timeout=reading)
    client = Client(
        Provider(token_endpoint=there.token_endpoint, dialect=case.dialect),
        client_id="client",
        client_secret=CLIENT_SECRET,
        registry=registry,
        transport=transport,
        retry=RetryPolicy(attempts=3),
        timeout=whole,
    )
    with client:
        yield Caller(client, case)


def assert_nothing_shows(error: BaseException, case: Case, log: str) -> None:
    """Assert that neither the error nor the log contains a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [
        str(error),
        repr(error),
        repr(vars(error)),
        "".join(traceback.format_exception(error)),
        pickle.dumps(error).decode("latin-1"),
        log,
    ]
    for secret in case.secrets:
        assert not any(secret in text for text in shown)


# --- Matrix -------------------------------------------------------------------------------------


def cells(*, passing: bool = False) -> list[Any]:
    """Return the harmful or, with ``passing``, the temporary faults with every grant."""
    return [
        pytest.param(row, grant, sends, id=f"{row.fault} - {grant}")
        for row in SPECIFICATION
        for grant, sends in zip(GRANTS, row.sends, strict=True)
        if row.error is not None and (FAULTS[row.fault].arrives or not passing)
    ]


def test_every_fault_is_specified_once() -> None:
    assert [row.fault for row in SPECIFICATION] == list(FAULTS)


@pytest.mark.parametrize(("row", "grant", "sends"), cells())
def test_a_permanent_fault_raises_and_loses_nothing(
    row: Row, grant: str, sends: int, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """The call makes the specified number of attempts and then raises the specified error."""
    caplog.set_level(logging.DEBUG)
    fault = FAULTS[row.fault]
    assert row.error is not None
    with (
        scene(row.fault, times=sends) as there,
        calling(registry, grant, row.fault, there) as call,
    ):
        began = time.monotonic()
        with pytest.raises(row.error) as caught:
            call()
        assert time.monotonic() - began < PATIENCE
        error = caught.value
        assert type(error) is row.error
        assert error.evidence.attempts == sends
        assert [attempt.wait for attempt in error.evidence.history] in (
            [*call.waits.seconds, None],
            [] if sends == 1 else None,
        )
        assert len(there.arrived) == (sends if fault.arrives else 0)
        assert len(call.waits.seconds) == sends - 1
        shortest, longest = next(
            (bounds for how, bounds in WAITS.items() if row.fault.endswith(how)), (0, 5)
        )
        assert all(shortest <= wait <= longest for wait in call.waits.seconds)
        if isinstance(error, ProviderUnavailableError):
            assert error.retry_after is not None
            assert shortest <= error.retry_after <= (longest if sends > 1 else ASKED_TOO_LONG)
        assert there.elsewhere.connections == 0
        assert_nothing_shows(error, call.case, caplog.text)
        if fault.arrives:
            # The caller's tokens and the client are still usable: the next call succeeds.
            token = call()
            assert token.access_token == "at-1"
            assert token.refresh_token == call.case.params.get("refresh_token")
            assert len(there.arrived) == sends + 1


@pytest.mark.parametrize(("row", "grant", "sends"), cells(passing=True))
def test_a_temporary_fault_only_delays_the_call(
    row: Row, grant: str, sends: int, registry: Registry
) -> None:
    """This holds if a retry is allowed; otherwise the call raises."""
    assert row.error is not None
    with scene(row.fault, times=1) as there, calling(registry, grant, row.fault, there) as call:
        polls = grant == "device code"
        ask: Callable[[], Token] = call.poll if polls else call
        if sends > 1 or polls:  # none of these faults ends a device login
            assert ask().access_token == "at-1"
            assert len(there.arrived) == 2
        else:
            with pytest.raises(row.error):
                ask()
            assert len(there.arrived) == 1
        assert there.elsewhere.connections == 0


@pytest.mark.parametrize("grant", GRANTS)
def test_reaches_a_server_that_starts_between_two_attempts(grant: str, registry: Registry) -> None:
    name = "connection refused"
    with ExitStack() as stack:
        there = stack.enter_context(scene(name))
        call = stack.enter_context(calling(registry, grant, name, there))
        port = int(there.base.rpartition(":")[2])
        servers: list[FaultServer] = []

        def come_up() -> None:
            servers.append(stack.enter_context(FaultServer(faults.respond(), port=port)))

        call.waits.meanwhile = come_up
        assert call().access_token == "at-1"
        assert (len(servers[0].requests), len(call.waits.seconds)) == (1, 1)


@pytest.mark.parametrize("grant", GRANTS)
def test_replaces_a_pooled_connection_that_the_server_closed(
    grant: str, registry: Registry
) -> None:
    """The most common fault has no effect, even with a single-use code."""
    name = "kept connection closed between two calls"
    with scene(name, times=1) as there, calling(registry, grant, name, there) as call:
        call()
        assert there.server is not None
        assert there.server.closed.wait(PATIENCE)
        assert call().access_token == "at-1"
        assert len(there.arrived) == there.server.connections == 2
        assert call.waits.seconds == []


# --- Documentation ------------------------------------------------------------------------------


def markdown() -> str:
    """Return the specification as a Markdown table."""
    lines = [
        "| " + " | ".join(["fault", *GRANTS, "error"]) + " |",
        "|---|" + "--:|" * len(GRANTS) + "---|",
    ]
    for row in SPECIFICATION:
        error = f"`{row.error.__name__}`" if row.error else "none: returns the token"
        sends = [str(count) if FAULTS[row.fault].arrives else f"({count})" for count in row.sends]
        lines.append("| " + " | ".join([row.fault, *sends, error]) + " |")
    return "\n".join(lines)


def test_the_documentation_shows_this_table() -> None:
    assert markdown() in PAGE.read_text()


if __name__ == "__main__":
    print(markdown())
