"""No connection is lost when gateways are killed and the store restarts under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.connections import STORES, play

pytestmark = pytest.mark.slow

#: Some hundred connections in one round; ``python -m tests.fleet.connections`` plays with 100,000.
CONNECTIONS, ENDED, SECONDS = 300, 5, 8.0


@pytest.mark.parametrize("store", STORES)
def test_no_connection_is_lost(store: str, tmp_path: Path) -> None:
    outcome = play(store, tmp_path, number=CONNECTIONS, broken=ENDED, seconds=SECONDS)
    assert outcome.lost == {}
    # Every response was correct, or said that it was not.
    assert not [name for name in outcome.during + outcome.after if name.isupper()]
    assert outcome.during["200"] > 0
    assert outcome.during["connection lost"] > 0, "no gateway was killed under load"
    assert outcome.after == {"200": CONNECTIONS, "403 connection_broken": ENDED}
    assert outcome.refreshed == CONNECTIONS
    assert outcome.revoked == 0
    # Each broken connection is reported at least once, by one of the gateways.
    assert len(outcome.webhooks) == ENDED
