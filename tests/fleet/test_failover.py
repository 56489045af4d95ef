"""Tests of a fleet whose store fails over: no login is lost, and one request is sent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fleet import failover
from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import combined, fleet

pytestmark = pytest.mark.slow

KINDS = pytest.mark.parametrize("kind", list(failover.GROUPS))


@KINDS
@pytest.mark.parametrize("suspend", [False, True])
def test_one_refresh_in_each_round_in_which_the_primary_fails(
    tmp_path: Path, kind: str, suspend: bool
) -> None:
    outcome = failover.play(kind, 2, tmp_path, suspend=suspend)
    assert (outcome.single, outcome.lost, outcome.errors) == (2, 0, {})


@KINDS
@pytest.mark.parametrize("place", ["before", "between"])
@pytest.mark.parametrize("suspend", [False, True])
def test_the_primary_fails_during_the_request(
    tmp_path: Path, issuer: StrictIssuer, kind: str, place: str, suspend: bool
) -> None:
    """The lock holds on the next primary: other machines send nothing, and the save succeeds.

    A suspended primary comes back with commands that it received in the meantime.
    """
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
        failing = valkey.primary(name)
        (failing.pause if suspend else failing.stop)()
        for machine in others:
            machine.send("request", timeout=None)
        valkey.wait_for_another_primary(failing, name)
        if suspend:
            first.proceed()
            time.sleep(1.0)
            failing.resume()
        else:
            failing.restart()
            first.proceed()
        result = combined([machine.receive() for machine in group.machines])
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert issuer.statuses == [200]
        assert issuer.refreshes(group.stored)
