"""A web server that publishes one document, for tests of what the issuer fetches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE


class Published:
    """A web server on loopback whose only document can be changed.

    Args:
        path: Path in ``url``; every path is served.
        content: Returns the document.
        media_type: Media type of the document.

    Attributes:
        reads: Number of requests.
        status: Status of the responses.
        headers: Headers of the responses.
        open: Responses wait until it is set.
    """

    def __init__(self, path: str, content: Callable[[], bytes], media_type: str) -> None:
        self.reads, self.status = 0, 200
        self.headers = {"Content-Type": media_type}
        self.open = threading.Event()
        self.open.set()
        published = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                published.reads += 1
                assert published.open.wait(PATIENCE)
                body = content()
                self.send_response(published.status)
                for name, value in published.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_details: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}{path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)
