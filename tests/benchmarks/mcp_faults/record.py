"""Servers of the comparison: each records its requests, and answers the next ones with faults."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.faults import Act, FaultServer, Received, Stage, message

#: The header with which the user's browser marks its requests.
BROWSER = "x-browser"


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, document: object, status: int = 200) -> Reply:
        """Return a response with a JSON body."""
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def changed(self, **members: object) -> Reply:
        """Return the response with members of its JSON object replaced; None removes one."""
        document = {**self.json, **members}
        kept = {name: value for name, value in document.items() if value is not None}
        return replace(self, body=json.dumps(kept).encode())


#: A response, or an act that plays another ending of the connection.
Answer = Reply | Act
Forward = Callable[[], Reply]
#: Answers a request. The second argument returns the response of the healthy server.
Fault = Callable[[Received, Forward], Answer]


class Entry(NamedTuple):
    """A request that a server received.

    Attributes:
        server: Name of the server.
        kind: Kind of the request.
        received: The request.
    """

    server: str
    kind: str
    received: Received

    @property
    def by_browser(self) -> bool:
        """Whether the user's browser sent it."""
        return BROWSER in self.received.headers

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the URL."""
        return {name: values[0] for name, values in parse_qs(self._parts.query).items()}

    @property
    def _parts(self) -> Any:
        return urlsplit(self.received.target)

    def contains(self, value: str) -> bool:
        """Return whether a value is anywhere in the request."""
        text = f"{self.received.target} {self.received.headers} {self.received.body!r}"
        return value in text


class Record:
    """All requests to all servers, and the secrets that were issued."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        #: Secret -> its kind, and the servers that may receive it.
        self._secrets: dict[str, tuple[str, frozenset[str]]] = {}

    def add(self, entry: Entry) -> None:
        """Record a request."""
        with self._lock:
            self._entries.append(entry)

    def add_secret(self, kind: str, value: str, *servers: str) -> None:
        """Record a secret, and the servers that may receive it."""
        with self._lock:
            self._secrets[value] = (kind, frozenset(servers))

    def entries(self, kind: str | None = None, server: str | None = None) -> list[Entry]:
        """Return the requests of a kind and to a server that programs sent."""
        with self._lock:
            return [
                each
                for each in self._entries
                if kind in {None, each.kind}
                and server in {None, each.server}
                and not each.by_browser
            ]

    def logins(self) -> list[Entry]:
        """Return the authorization requests for which a browser was opened."""
        with self._lock:
            return [each for each in self._entries if each.by_browser and each.kind == "authorize"]

    def misdirected(self) -> list[str]:
        """Return the kinds of secrets that a wrong server received, and its name."""
        with self._lock:
            found = Counter(
                f"{kind} sent to {entry.server}"
                for value, (kind, allowed) in self._secrets.items()
                for entry in self._entries
                if entry.server not in allowed and entry.contains(value)
            )
        return sorted(found)


class Server:
    """A server on loopback.

    Args:
        name: Name of the server in the record.
        record: Where requests are recorded.
        classify: Returns the kind of a request.
        healthy: Answers a request if there is no fault.

    Attributes:
        next: Faults for the next requests of a kind; each is used once.
        always: The fault for all requests of a kind.
    """

    def __init__(
        self,
        name: str,
        record: Record,
        classify: Callable[[Received], str],
        healthy: Callable[[Received], Answer],
        **options: Any,
    ) -> None:
        self.name = name
        self.next: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self._record = record
        self._classify = classify
        self._healthy = healthy
        self._lock = threading.Lock()
        self._server = FaultServer(self._play, **options)
        self.port = self._server.port
        self.url = self._server.url

    def start(self) -> None:
        """Start the server, or start it again."""
        if self._server.stopped.is_set():
            self._server = FaultServer(self._play, port=self.port)
        self._server.__enter__()

    def stop(self) -> None:
        """Stop the server; further connections are refused."""
        self._server.__exit__()

    def _play(self, stage: Stage) -> bool:
        received = stage.read_request()
        if received is None:
            return False
        kind = self._classify(received)
        self._record.add(Entry(self.name, kind, received))
        with self._lock:
            waiting = self.next.get(kind)
            fault = waiting.pop(0) if waiting else self.always.get(kind)
        answer = (
            self._healthy(received)
            if fault is None
            else fault(received, lambda: self._reply(received))
        )
        if not isinstance(answer, Reply):
            return answer(stage)
        stage.send(message(answer.status, answer.body, answer.headers))
        return True

    def _reply(self, received: Received) -> Reply:
        answer = self._healthy(received)
        assert isinstance(answer, Reply)
        return answer
