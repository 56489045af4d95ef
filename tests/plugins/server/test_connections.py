"""Which connection is closed when there are too many."""

from __future__ import annotations

from grantway_plugins.server._listening.connections import Connections

GREEDY, OTHER, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Silent:
    """A fake connection that waits for its client."""

    def __init__(self) -> None:
        self.closed = False

    def has_unread_request(self) -> bool:
        return False

    def give_way(self) -> None:
        self.closed = True


def admitted(connections: Connections, host: str) -> Silent:
    connection = Silent()
    assert connections.admit(connection, host) is None
    connections.await_header(connection)
    return connection


def test_a_peer_over_its_limit_does_not_close_other_connections() -> None:
    connections = Connections(3, 2)
    held = [admitted(connections, host) for host in (OTHER, GREEDY, GREEDY)]
    for _ in range(5):
        assert "from this address" in (connections.admit(Silent(), GREEDY) or "")
    assert not any(each.closed for each in held)
    admitted(connections, THIRD)
    assert [each.closed for each in held] == [True, False, False]


def test_a_rejected_connection_does_not_count_against_the_peer() -> None:
    connections = Connections(1, 2)
    busy = Silent()
    assert connections.admit(busy, OTHER) is None
    for _ in range(5):
        assert connections.admit(Silent(), GREEDY) == "too many connections"
    connections.remove(busy)
    admitted(connections, GREEDY)
