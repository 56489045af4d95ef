"""The servers that the URL of a store names: one server, a Sentinel service, or a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from grantway._exceptions import ConfigurationError
from grantway._secrets.masked import Masked

Kind = Literal["server", "sentinel", "cluster"]

#: A host, in brackets if it is an IPv6 address, and its port.
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:@/\s]+))(?::(?P<port>\d{1,5}))?")
_PORTS = {"sentinel": 26379, "cluster": 6379}
_MOST_PORT = 65535


class Node(NamedTuple):
    """A server process.

    Attributes:
        host: Host name or address; empty for the only server of a store.
        port: TCP port.
        sentinel: Whether it is a Sentinel, which has its own user and password.
    """

    host: str = ""
    port: int = 0
    sentinel: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Location:
    """The parts of a store's URL.

    Attributes:
        kind: How the server of a key is found.
        nodes: The Sentinels, or some servers of the cluster; the only server without a host.
        service: Name under which the Sentinels monitor the servers.
        where: The URL without user, password and options, for errors.
    """

    kind: Kind
    nodes: tuple[Node, ...]
    service: str
    where: str
    _scheme: str
    _server: Masked[str]
    _sentinel: Masked[str]

    def url(self, node: Node) -> Masked[str]:
        """Return the URL of one server process, as redis-py expects it."""
        if self.kind == "server":
            return self._server
        before, after = (self._sentinel if node.sentinel else self._server).value.split("\n")
        return Masked(f"{self._scheme}://{before}{node}{after}")


def parse(url: Masked[str]) -> Location:
    """Return the parts of a URL.

    Raises:
        ConfigurationError: The URL of Sentinels or of a cluster is invalid.
    """
    found = _tls_rule(url) or _location(url)
    if isinstance(found, Location):
        return found
    # Raised here, because the variables of the other function contain the password.
    raise ConfigurationError(f"url: {found}.", errors={"url": [found]})


def _tls_rule(url: Masked[str]) -> str:
    """Return the rule that options of TLS in a URL violate, if any."""
    names = [name for name, _value in parse_qsl(urlsplit(url.value).query, keep_blank_values=True)]
    surplus = next((each for each in names if each.startswith("ssl_")), "")
    if not surplus or url.value.startswith("rediss"):
        return ""
    return f"must start with rediss, because it has the option {surplus}"


def _location(url: Masked[str]) -> Location | str:
    """Return the parts of a URL, or the rule that it violates."""
    scheme, _, rest = url.value.partition("://")
    base, plus, kind = scheme.partition("+")
    if not plus:
        return Location("server", (Node(),), "", "", scheme, url, url)
    if base not in ("redis", "rediss") or kind not in ("sentinel", "cluster"):
        return "must start with redis, rediss, unix, or with +sentinel or +cluster after redis(s)"
    rest, _, query = rest.partition("?")
    place, _, path = rest.partition("/")
    login, at, hosts = place.rpartition("@")
    nodes = [_node(each, kind) for each in hosts.split(",")]
    if None in nodes:
        return "must list hosts as HOST or HOST:PORT, separated by commas"
    known = tuple(each for each in nodes if each)
    listed = f"{scheme}://{','.join(str(each) for each in known)}"
    options = dict(parse_qsl(query, keep_blank_values=True))
    user, password = options.pop("sentinel_username", ""), options.pop("sentinel_password", "")
    tail = f"?{urlencode(options)}" if options else ""
    service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
    database = database or "0"
    server = Masked(f"{login}{at}\n/{database}{tail}")
    if kind == "cluster" and database != "0":
        return "must not name a database, because a cluster has only database 0"
    if kind == "sentinel" and not (service and database.isdecimal()):
        return (
            "must name the service that the Sentinels monitor after the hosts, like "
            "redis+sentinel://HOST1,HOST2,HOST3/SERVICE/0"
        )
    own = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    where = f"{listed}/{service}/{database}" if service else listed
    sentinel = Masked(f"{own}\n{tail}")
    return Location(cast("Kind", kind), known, service, where, base, server, sentinel)


def _node(text: str, kind: str) -> Node | None:
    found = _HOST.fullmatch(text.strip())
    port = int(found["port"] or _PORTS[kind]) if found else 0
    if found is None or not 0 < port <= _MOST_PORT:
        return None
    return Node(found["v6"] or found["name"], port, sentinel=kind == "sentinel")


def address(options: dict[str, object], url: Masked[str]) -> str:
    """Return the address of a single server for errors, without user, password and options."""
    scheme = urlsplit(url.value).scheme
    if scheme == "unix":
        return f"unix://{options.get('path', '')}"
    return (
        f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        f"/{options.get('db', 0)}"
    )
