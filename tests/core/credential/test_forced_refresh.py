"""``refresh_async``: new tokens before they are needed, without harm to callers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import (
    InvalidGrantException,
    LoginNeededError,
    ProviderPausedError,
    ProviderUnavailableError,
    StoreSaveError,
)
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import Gate, issue, reject, token
from tests.core.credential.test_async import arrival

LOGIN: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}


@pytest.mark.parametrize("held", [True, False])
def test_a_fresh_token_is_replaced(held: bool, start: Start) -> None:
    client, server = start(issue(access_token="new"))
    store = MemoryStore()
    client.credential(**LOGIN, store=store).accept(token(9))
    credential = client.credential(**LOGIN, store=store)
    if held:
        credential.token()
    assert asyncio.run(credential.refresh_async()).access_token == "new"
    assert server.requests[0].form["refresh_token"] == ["rt-9"]
    assert credential.token().access_token == "new"
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.access_token == "new"


def test_callers_get_the_current_token_meanwhile(start: Start) -> None:
    gate = Gate(issue(access_token="new"))
    client, server = start(gate)
    credential = client.credential(**LOGIN, store=MemoryStore())

    async def main() -> None:
        await credential.accept_async(token(9))
        refreshes = [asyncio.create_task(credential.refresh_async()) for _ in range(20)]
        await arrival(gate)
        assert (await credential.token_async()).access_token == "at-9"
        gate.opened.set()
        assert {each.access_token for each in await asyncio.gather(*refreshes)} == {"new"}

    asyncio.run(main())
    assert len(server.requests) == 1


def test_a_provider_that_fails_does_not_harm_callers(start: Start) -> None:
    client, server = start(reject("temporarily_unavailable", 503))
    credential = client.credential(**LOGIN, store=MemoryStore())

    async def main() -> Token:
        await credential.accept_async(token(9))
        with pytest.raises(ProviderUnavailableError):
            await credential.refresh_async()
        with pytest.raises(ProviderPausedError):
            await credential.refresh_async(timeout=0)
        return await credential.token_async()

    assert asyncio.run(main()).access_token == "at-9"
    assert len(server.requests) == 1


def test_a_rejected_refresh_token_needs_a_login_but_leaves_the_access_token(start: Start) -> None:
    client, _ = start(reject())
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store)

    async def main() -> Token:
        await credential.accept_async(token(9))
        for _ in range(2):
            with pytest.raises(LoginNeededError) as raised:
                await credential.refresh_async()
            assert isinstance(raised.value.__cause__, InvalidGrantException)
        return await credential.token_async()

    assert asyncio.run(main()).access_token == "at-9"
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token is None


def test_a_token_of_another_process_is_refreshed_and_not_the_held_one(
    start: Start, tmp_path: Path
) -> None:
    client, server = start(issue(access_token="new"))
    here, there = (client.credential(**LOGIN, store=FileStore(tmp_path)) for _ in range(2))
    here.accept(token(8))
    there.accept(token(9))
    assert asyncio.run(here.refresh_async()).access_token == "new"
    assert [each.form["refresh_token"] for each in server.requests] == [["rt-9"]]


def test_nothing_is_sent_if_another_process_refreshes_meanwhile(
    start: Start, tmp_path: Path
) -> None:
    client, server = start(issue(access_token="new"))
    here, there = (client.credential(**LOGIN, store=FileStore(tmp_path)) for _ in range(2))
    here.accept(token(9))

    async def main() -> list[Token]:
        return [*await asyncio.gather(here.refresh_async(), there.refresh_async())]

    assert {each.access_token for each in asyncio.run(main())} == {"new"}
    assert len(server.requests) == 1


def test_a_token_that_cannot_be_saved_is_kept_and_saved_later(start: Start) -> None:
    client, server = start(issue(access_token="new"))
    store = FaultyStore()
    credential = client.credential(**LOGIN, store=store)

    async def main() -> None:
        await credential.accept_async(token(9))
        store.full = True
        with pytest.raises(StoreSaveError):
            await credential.refresh_async()
        assert credential.holds_the_only_copy()
        store.full = False
        assert (await credential.refresh_async()).access_token == "new"

    asyncio.run(main())
    assert store.saved[-1][0].refresh_token == "rt-1"
    assert len(server.requests) == 1


def test_without_a_token_a_login_is_needed(start: Start) -> None:
    client, server = start()
    credential = client.credential(**LOGIN, store=MemoryStore())
    with pytest.raises(LoginNeededError):
        asyncio.run(credential.refresh_async())
    assert not server.requests
