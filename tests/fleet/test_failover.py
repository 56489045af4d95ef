"""Tests of a fleet whose store fails over: no login is lost, and one request is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet import failover
from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import combined, fleet

pytestmark = pytest.mark.slow

KINDS = pytest.mark.parametrize("kind", list(failover.GROUPS))


@KINDS
def test_one_refresh_in_each_round_in_which_the_primary_is_killed(
    tmp_path: Path, kind: str
) -> None:
    outcome = failover.play(kind, 2, tmp_path)
    assert (outcome.single, outcome.lost, outcome.errors) == (2, 0, {})


@KINDS
@pytest.mark.parametrize("place", ["before", "between"])
def test_the_primary_is_killed_during_the_request(
    tmp_path: Path, issuer: StrictIssuer, kind: str, place: str
) -> None:
    """The lock holds on the next primary: other machines send nothing, and the save succeeds."""
    with (
        failover.GROUPS[kind][0]() as valkey,
        fleet(
            tmp_path,
            issuer,
            failover.store_options(valkey, lease=60.0),
            machines=3,
            threads=4,
            stop_at=place,
        ) as group,
    ):
        group.advance(HOUR)
        first, *others = group.machines
        first.send("request")
        first.wait_until_stopped_at(place)
        name = f"grantway:{group.credential.key}".encode()
        killed = valkey.primary(name)
        killed.stop()
        for machine in others:
            machine.send("request", timeout=None)
        valkey.wait_for_another_primary(killed, name)
        killed.restart()
        first.proceed()
        result = combined([machine.receive() for machine in group.machines])
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert issuer.statuses == [200]
        assert issuer.refreshes(group.stored)
