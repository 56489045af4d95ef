"""A reverse proxy that holds requests until a number of them have arrived."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

#: Seconds that a request waits for the others, and for its response.
PATIENCE = 30.0


class Gate:
    """A gate on a free port.

    Args:
        service: Address of the upstream service.
    """

    def __init__(self, service: str) -> None:
        self.service = urlsplit(service).netloc
        self.barrier = threading.Barrier(1)
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def expect(self, requests: int) -> None:
        """Hold requests until this many have arrived, then forward all of them."""
        self.barrier = threading.Barrier(requests)

    def open(self) -> None:
        """Forward each request immediately."""
        self.expect(1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.barrier.abort()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        gate = cast("_Server", self.server).gate
        body = self.rfile.read(int(self.headers["Content-Length"]))
        gate.barrier.wait(PATIENCE)
        behind = http.client.HTTPConnection(gate.service, timeout=PATIENCE)
        try:
            behind.request("POST", self.path, body, {"Content-Type": self.headers["Content-Type"]})
            response = behind.getresponse()
            body = response.read()
            self.send_response(response.status)
            for name in ("Content-Type", "x-amzn-ErrorType"):
                if value := response.headers.get(name):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        finally:
            behind.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Suppress the log."""
