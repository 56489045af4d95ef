"""Which primary a store uses if its Sentinels disagree or do not respond."""

from __future__ import annotations

from itertools import permutations

import pytest
from redis.exceptions import ConnectionError as UnreachableError

from grantway._secrets.masked import Masked
from grantway_plugins._redis.location import Node, parse
from grantway_plugins._redis.topology import Sentinels, UnresolvedError

OLD, NEW = Node("127.0.0.1", 11), Node("127.0.0.1", 12)
DOWN = None


def asked(answers: dict[int, Node | None]) -> tuple[Sentinels, list[int]]:
    """Find the primary, and return the Sentinels and the ports that were asked.

    Args:
        answers: Port of each Sentinel -> the primary that it names, or None if it is down.
    """
    hosts = ",".join(f"127.0.0.1:{port}" for port in answers)
    sentinels = Sentinels(parse(Masked(f"redis+sentinel://{hosts}/tokens/0")))
    return sentinels, find(sentinels, answers)


def find(sentinels: Sentinels, answers: dict[int, Node | None]) -> list[int]:
    steps = sentinels.find(b"name")
    ports: list[int] = []
    try:
        call = next(steps)
        while True:
            ports.append(call.node.port)
            primary = answers[call.node.port]
            found = UnreachableError("down") if primary is DOWN else [primary.host, primary.port]
            call = steps.send([found])
    except StopIteration:
        return ports


@pytest.mark.parametrize(
    ("named", "primary", "most"),
    [
        ((OLD, OLD, OLD), OLD, 2),
        ((OLD, NEW, NEW), NEW, 3),
        ((DOWN, NEW, NEW), NEW, 3),
        ((DOWN, DOWN, NEW), NEW, 3),
        ((NEW, NEW), NEW, 2),
        ((NEW,), NEW, 1),
    ],
)
def test_uses_the_primary_that_most_sentinels_name(
    named: tuple[Node | None, ...], primary: Node, most: int
) -> None:
    for order in permutations(named):
        sentinels, ports = asked(dict(enumerate(order, 1)))
        assert sentinels._primary == primary
        assert len(ports) <= most


@pytest.mark.parametrize("named", [(OLD, NEW, DOWN), (OLD, NEW), (OLD, OLD, NEW, NEW)])
def test_waits_until_the_sentinels_agree(named: tuple[Node | None, ...]) -> None:
    """One of the two primaries has missed the failover, and changes to it would be lost."""
    for order in permutations(named):
        with pytest.raises(UnresolvedError, match="different primaries") as failed:
            asked(dict(enumerate(order, 1)))
        assert failed.value.temporary


def test_asks_those_that_responded_first() -> None:
    answers: dict[int, Node | None] = {1: DOWN, 2: OLD, 3: OLD}
    sentinels, ports = asked(answers)
    assert ports == [1, 2, 3]
    sentinels.failed(OLD, UnreachableError("down"))
    assert find(sentinels, answers) == [2, 3]
