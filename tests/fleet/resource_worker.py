"""A process whose threads send requests to a protected resource with one ``ResourceAuth``.

The first line of input contains the URL, the store and the number of threads. Each further line
lets every thread send a request; the statuses and the logins of this process are printed.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from grantway_plugins.auth import ResourceAuth
from tests.fleet.worker import open_store
from tests.plugins.auth.sites import Logins

_PATIENCE = 60.0


def main() -> None:
    """Send requests until the input ends."""
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    logins = Logins()
    store: Any = open_store(*given["store"])
    auth = ResourceAuth(given["url"], client_name="fleet", login=logins, store=store)
    threads = given["threads"]
    barrier = threading.Barrier(threads)

    def send(path: str) -> int:
        barrier.wait(_PATIENCE)
        return requests.get(f"{given['url']}{path}", auth=auth, timeout=_PATIENCE).status_code

    print(json.dumps("ready"), flush=True)
    with ThreadPoolExecutor(threads) as pool:
        for line in iter(sys.stdin.readline, ""):
            statuses = list(pool.map(send, [json.loads(line)] * threads))
            print(json.dumps({"statuses": statuses, "logins": len(logins.calls)}), flush=True)
    auth.close()
    getattr(store, "close", lambda: None)()


if __name__ == "__main__":
    main()
