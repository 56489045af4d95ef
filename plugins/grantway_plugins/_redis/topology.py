"""How the server of a key is found: always the same one, by Sentinels, or by a cluster's map."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Protocol

from redis.crc import key_slot
from redis.exceptions import MovedError

from grantway_plugins._databases.steps import Steps

from .commands import Call
from .errors import explain, is_temporary
from .location import Location, Node


class UnresolvedError(Exception):
    """The server of a key cannot be found.

    Args:
        problem: The reason and a remedy, for errors.
        temporary: Whether another attempt may succeed.
    """

    def __init__(self, problem: str, *, temporary: bool) -> None:
        super().__init__(problem)
        self.problem, self.temporary = problem, temporary


class Topology(Protocol):
    """The servers of a store, of which one accepts the changes of a key."""

    #: Whether another server may accept the changes after a failure.
    fails_over: bool
    #: A command that each read sends too, to check that it reads from the primary.
    check: tuple[str, ...]

    def find(self, name: bytes) -> Steps[Node]:
        """Return the server for a key.

        Raises:
            UnresolvedError: It cannot be found.
        """
        ...

    def failed(self, node: Node, error: Exception | None) -> None:
        """Learn that a command failed, or that a change was not confirmed."""
        ...


def topology(location: Location) -> Topology:
    """Return how the servers of a location are found."""
    if location.kind == "sentinel":
        return Sentinels(location)
    return Cluster(location) if location.kind == "cluster" else SingleServer(location)


class SingleServer:
    """One server, or an address that leads to the current primary."""

    fails_over = False
    check: tuple[str, ...] = ()

    def __init__(self, location: Location) -> None:
        self._node = location.nodes[0]

    def find(self, name: bytes) -> Steps[Node]:
        """See ``Topology``."""
        del name
        yield from ()
        return self._node

    def failed(self, node: Node, error: Exception | None) -> None:
        """See ``Topology``."""


class Sentinels:
    """The primary that Sentinels report. They are asked once, and again after each failure.

    More than half of the listed Sentinels must name the same primary, or all that respond: during
    a failover, those that have not noticed it yet still name the former one.
    """

    fails_over = True
    #: A former primary still answers reads, with data that may be old.
    check: tuple[str, ...] = ("ROLE",)

    def __init__(self, location: Location) -> None:
        self._sentinels = location.nodes
        self._service = location.service
        self._primary: Node | None = None

    def find(self, name: bytes) -> Steps[Node]:
        """See ``Topology``."""
        del name
        if (known := self._primary) is not None:
            return known
        problem, temporary = "", True
        words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service]
        named: dict[Node, list[Node]] = {}
        for sentinel in self._sentinels:
            (result,) = yield Call(sentinel, words)
            if isinstance(result, list):
                primary = Node(_text(result[0]), int(result[1]))
                named.setdefault(primary, []).append(sentinel)
                if 2 * len(named[primary]) > len(self._sentinels):
                    break
            elif isinstance(result, Exception):
                problem = problem or f"the Sentinel {sentinel}: {explain(result)}"
                temporary = is_temporary(result)
            else:
                problem = f"the Sentinel {sentinel} monitors no service named {self._service!r}"
                temporary = False
        if not named:
            raise UnresolvedError(problem, temporary=temporary)
        primary, agreed = max(named.items(), key=lambda each: len(each[1]))
        responding = sum(len(each) for each in named.values())
        if len(agreed) < responding and 2 * len(agreed) <= len(self._sentinels):
            problem = "the Sentinels name different primaries, as they do during a failover; retry"
            raise UnresolvedError(problem, temporary=True)
        # The next time, do not wait for the ones that did not respond.
        self._sentinels = tuple(dict.fromkeys((*agreed, *self._sentinels)))
        self._primary = primary
        return primary

    def failed(self, node: Node, error: Exception | None) -> None:
        """See ``Topology``."""
        if self._primary == node:
            self._primary = None


class Cluster:
    """The primaries of a cluster's slots. The map is loaded once, and again after each failure."""

    fails_over = True
    check: tuple[str, ...] = ()

    def __init__(self, location: Location) -> None:
        self._seeds = location.nodes
        #: Servers to ask for the map, those that are likely to know it first.
        self._known = location.nodes
        #: First slot of each range in ascending order, and its last slot and primary.
        self._map: tuple[list[int], list[tuple[int, Node]]] | None = None

    def find(self, name: bytes) -> Steps[Node]:
        """See ``Topology``."""
        loaded = self._map
        if loaded is None:
            self._map = loaded = yield from self._load()
        slot, (starts, ranges) = key_slot(name), loaded
        place = bisect_right(starts, slot) - 1
        if place >= 0 and slot <= ranges[place][0]:
            return ranges[place][1]
        self._map = None
        raise UnresolvedError(
            f"no server of the cluster serves slot {slot}; run CLUSTER INFO on one of them",
            temporary=True,
        )

    def failed(self, node: Node, error: Exception | None) -> None:
        """See ``Topology``."""
        self._map = None
        moved = [Node(error.host or node.host, error.port)] if isinstance(error, MovedError) else []
        rest = [each for each in self._known if each not in (node, *moved)]
        self._known = (*moved, *rest, node)

    def _load(self) -> Steps[tuple[list[int], list[tuple[int, Node]]]]:
        problem, temporary = "", True
        for node in dict.fromkeys((*self._known, *self._seeds)):
            (result,) = yield Call(node, ["CLUSTER", "SLOTS"])
            if isinstance(result, Exception):
                problem, temporary = f"{node}: {explain(result)}", is_temporary(result)
            elif result:
                ranges = sorted(
                    # A server that does not know its own address reports none.
                    (int(first), int(last), Node(_text(primary[0]) or node.host, int(primary[1])))
                    for first, last, primary, *_replicas in result
                )
                others = [
                    Node(_text(each[0]) or node.host, int(each[1]))
                    for _first, _last, *servers in result
                    for each in servers
                ]
                self._known = tuple(dict.fromkeys((node, *others)))
                return [each[0] for each in ranges], [each[1:] for each in ranges]
            else:
                problem, temporary = f"{node}: its cluster has no slots yet", True
        raise UnresolvedError(problem, temporary=temporary)


def _text(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value or "")
    return "" if text == "?" else text
