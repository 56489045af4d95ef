"""Tests of a logout on one machine, which takes effect on the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import StoreOptions, fleet

pytestmark = pytest.mark.slow

RECHECK = 60.0


@pytest.mark.parametrize("shared_store", ["file", "redis", "sql"], indirect=True)
def test_a_logout_takes_effect_on_all_machines_within_the_time(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """No machine sends the refresh token again, and a new login serves all of them."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4, recheck=RECHECK) as group:
        assert group.request().errors == []
        first, *others = group.machines
        first.do("forget")
        assert set(group.request([first]).errors) == {"LoginNeededError"}
        group.advance(RECHECK)
        result = group.request(others)
        assert (result.tokens, set(result.errors)) == (set(), {"LoginNeededError"})
        group.advance(HOUR)
        assert group.request().tokens == set()
        assert (issuer.statuses, group.stored) == ([], None)
        token = group.login_all()
        group.advance(0)
        result = group.request()
        assert (result.errors, result.tokens) == ([], {token.access_token})
