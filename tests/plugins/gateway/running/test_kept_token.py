"""A token that is kept fresh for Envoy, with faults of the credential in a chosen order."""

from __future__ import annotations

import asyncio
import time

import pytest

from grantway import Token, WaitTimeoutError
from grantway._exceptions import GrantwayError
from grantway_plugins.gateway._envoy import kept_token
from grantway_plugins.gateway._envoy.kept_token import KeptToken
from grantway_plugins.gateway._running.shared_token import SharedToken


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_token, "_TICK", 0.01)
    monkeypatch.setattr(kept_token, "_SOON", 0.001)


def shared(name: str, seconds: float) -> SharedToken:
    token = Token(name, expires_at=time.time() + seconds)
    return SharedToken(token, f"Bearer {name}", 1000.0, refreshing=False)


def seen_values(*outcomes: SharedToken | Exception | None, last: str) -> list[str | None]:
    """Return the values after each change, until the last one."""
    left = list(outcomes)

    async def find(_name: str, seconds: float) -> SharedToken | None:
        assert 0 <= seconds <= kept_token._TICK
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, WaitTimeoutError):
            await asyncio.sleep(seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run() -> list[str | None]:
        kept = KeptToken("one", find)
        values: list[str | None] = [kept.value]
        ended = asyncio.Event()

        def wake() -> None:
            values.append(kept.value)
            assert kept.version == len(values) - 1
            if kept.value == last and len(left) == 1:
                ended.set()

        kept.wakes.add(wake)
        async with asyncio.timeout(20):
            await ended.wait()
        kept.close()
        return values

    return asyncio.run(run())


def test_keeps_a_token_while_the_provider_is_slow() -> None:
    slow = WaitTimeoutError("slow")
    first, second = shared("a", 60), shared("b", 60)
    assert seen_values(slow, slow, first, slow, first, slow, slow, second, last="Bearer b") == [
        None,
        "Bearer a",
        "Bearer b",
    ]


def test_drops_an_expired_token_while_the_provider_is_slow() -> None:
    slow = WaitTimeoutError("slow")
    assert seen_values(shared("a", 0.05), slow, last="") == [None, "Bearer a", ""]


@pytest.mark.parametrize("error", [GrantwayError("x"), OSError("secret"), KeyError("secret")])
def test_drops_a_token_that_the_credential_no_longer_has(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    values = seen_values(shared("a", 60), error, error, shared("b", 60), None, last="")
    assert values == [None, "Bearer a", "", "Bearer b", ""]
    assert len(caplog.records) == 2  # each loss once
    assert "secret" not in caplog.text
