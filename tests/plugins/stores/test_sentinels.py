"""Which Sentinel a store asks for the primary."""

from __future__ import annotations

from redis.exceptions import ConnectionError as UnreachableError, ReadOnlyError

from grantway._secrets.masked import Masked
from grantway_plugins._redis.location import Node, parse
from grantway_plugins._redis.topology import Sentinels

OLD, NEW = Node("127.0.0.1", 11), Node("127.0.0.1", 12)
#: The primary that each Sentinel names, by its port. The first has not noticed a failover.
KNOWN = {1: OLD, 2: NEW}


def found(sentinels: Sentinels) -> Node:
    """Return the primary that the first Sentinel to be asked names."""
    steps = sentinels.find(b"name")
    call = next(steps)
    primary = KNOWN[call.node.port]  # type: ignore[union-attr]
    try:
        steps.send([[primary.host.encode(), str(primary.port).encode()]])
    except StopIteration as done:
        node: Node = done.value
        return node
    raise AssertionError("the Sentinel's answer was not used")


def sentinels() -> Sentinels:
    return Sentinels(parse(Masked("redis+sentinel://127.0.0.1:1,127.0.0.1:2/tokens/0")))


def test_another_sentinel_is_asked_if_one_names_a_replica() -> None:
    asked = sentinels()
    assert found(asked) == OLD
    asked.failed(OLD, ReadOnlyError())
    assert found(asked) == NEW


def test_the_same_sentinel_is_asked_again_after_another_failure() -> None:
    asked = sentinels()
    assert found(asked) == OLD
    asked.failed(OLD, UnreachableError())
    assert found(asked) == OLD
