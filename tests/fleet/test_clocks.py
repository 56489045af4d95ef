"""Tests of a fleet in which one machine's clock is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, fleet, send_to_all

pytestmark = pytest.mark.slow

AHEAD, BACK = HOUR, -HOUR


def use(group: Fleet) -> int:
    """Request a token on all machines, invalidating and retrying while the issuer rejects it.

    Returns:
        Number of rejections.
    """
    rejections = 0
    while True:
        result = group.request()
        assert result.errors == []
        rejected = [token for token in result.tokens if not group.issuer.is_active(token)]
        if not rejected:
            return rejections
        rejections += 1
        assert rejections <= len(group.machines)
        send_to_all(group.machines, "invalidate", rejected=rejected)


@pytest.mark.parametrize("shared_store", ["file", "redis"], indirect=True)
@pytest.mark.parametrize(
    "wrong", [[AHEAD] * 6, [BACK] * 6, [0.0, AHEAD, 0.0, BACK, 0.0, AHEAD, BACK, 0.0]]
)
def test_a_wrong_or_adjusted_clock_loses_no_login(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, wrong: list[float]
) -> None:
    """One clock is an hour ahead or behind, or jumps; the other clocks are right."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        bad = group.machines[0]
        for seconds in wrong:
            bad.do("wait_for_refreshes", wrong=seconds)
            use(group)
            group.advance(HOUR)
            use(group)
        assert set(issuer.statuses) == {200}
        # At most one each for the correct clocks, the wrong clock, and a rejected token.
        assert len(issuer.statuses) <= 3 * len(wrong)
        assert issuer.refreshes(group.stored)
