"""The locals of grantway's frames in a traceback contain no secret."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

import grantway
from tests import faults
from tests.faults import Act, FaultServer

REFRESH_TOKEN = "rt-very-secret-0123456789"
CLIENT_SECRET = "cs-very-secret-0123456789"
#: Module level, because tracebacks also show the local variables of the tests.
EXTRA_SECRET = "ex-very-secret-0123456789"
REQUEST: dict[str, Any] = {
    "grant_type": "refresh_token",
    "refresh_token": REFRESH_TOKEN,
    "extra": {"device_secret": EXTRA_SECRET},
}
ECHO = json.dumps({"error": "invalid_grant", "error_description": f"{REFRESH_TOKEN} is spent"})


def _ask(url: str) -> traceback.TracebackException:
    client = grantway.Client(
        grantway.Provider(token_endpoint=f"{url}/token"),
        client_id="client",
        client_secret=CLIENT_SECRET,
        retry=grantway.RetryPolicy(attempts=1),
    )
    with client, pytest.raises(grantway.GrantwayError) as caught:
        client.create_token(**REQUEST)
    return traceback.TracebackException.from_exception(caught.value, capture_locals=True)


def _assert_clean(shown: traceback.TracebackException) -> None:
    text = "".join(shown.format())
    assert "exchange = Exchange(" in text
    assert REFRESH_TOKEN not in text
    assert CLIENT_SECRET not in text
    assert EXTRA_SECRET not in text


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(
            faults.respond(400, b'{"error": "invalid_grant", "error_description": "spent"}'),
            id="refused",
        ),
        pytest.param(faults.respond(400, ECHO.encode()), id="echoed"),
        pytest.param(faults.respond(200, b"<html>"), id="a page"),
        pytest.param(faults.respond(500, b""), id="failed"),
        pytest.param(faults.reset_after_request, id="lost"),
    ],
)
def test_an_invalid_response_shows_no_secret(act: Act) -> None:
    with FaultServer(act) as server:
        _assert_clean(_ask(server.url))


def test_a_failed_connection_shows_no_secret() -> None:
    _assert_clean(_ask(f"http://127.0.0.1:{faults.free_port()}"))


#: Module level, like ``REQUEST``.
OPTIONS = {"url": "postgresql+nothing://user:db-very-secret-0123456789@127.0.0.1/tokens"}


def test_a_store_with_invalid_options_shows_no_secret() -> None:
    with pytest.raises(grantway.GrantwayError) as caught:
        grantway.default_registry().store("sql", **OPTIONS)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "very-secret" not in "".join(shown.format())
