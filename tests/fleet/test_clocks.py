"""One machine's clock is wrong: no login is lost, and nobody goes without a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, fleet, together

AHEAD, BACK = HOUR, -HOUR


def use(group: Fleet) -> int:
    """All ask for a token and use it; while one is refused they say so, and ask once more.

    Returns:
        How often one was refused.
    """
    refusals = 0
    while True:
        answer = group.ask()
        assert answer.errors == []
        refused = [token for token in answer.tokens if not group.issuer.takes(token)]
        if not refused:
            return refusals
        refusals += 1
        assert refusals <= len(group.machines)
        together(group.machines, "invalidate", refused=refused)


@pytest.mark.parametrize("shared_store", ["file", "redis"], indirect=True)
@pytest.mark.parametrize(
    "wrong", [[AHEAD] * 6, [BACK] * 6, [0.0, AHEAD, 0.0, BACK, 0.0, AHEAD, BACK, 0.0]]
)
def test_a_clock_that_is_wrong_or_set(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, wrong: list[float]
) -> None:
    """Its hour is off by one, at first or with a jump; the others' clocks are right."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        bad = group.machines[0]
        for seconds in wrong:
            bad.do("quiet", wrong=seconds)
            use(group)
            group.let_pass(HOUR)
            use(group)
        assert set(issuer.asked) == {200}
        # One for those who agree on the time, one for who does not, one for a refusal.
        assert len(issuer.asked) <= 3 * len(wrong)
        assert issuer.refreshes(group.stored)
