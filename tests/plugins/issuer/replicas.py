"""Load for several issuers on one database, with a count of the results."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
#: Seconds for which a client retries a request.
PATIENCE = 60.0


@dataclass
class Tally:
    """Results of the clients' requests.

    Attributes:
        statuses: HTTP status of every response; 0 is a connection that broke.
        reasons: Why requests failed, with a server error or without a response.
        lost: Logins that a client holds a token for and cannot continue.
        twice: Device codes that two issuers redeemed, and tokens that two responses contain.
        refreshed: Refreshes that succeeded.
        redeemed: Device codes that were redeemed.
        longest: Longest time from a refresh's first attempt to its success, in seconds.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    twice: int = 0
    refreshed: int = 0
    redeemed: int = 0
    longest: float = 0.0

    @property
    def failed(self) -> int:
        """Number of requests that got a server error or no response."""
        return sum(count for status, count in self.statuses.items() if not status or status >= 500)


class Load:
    """Clients of issuers that share a database.

    They retry a failed request at the next issuer, as behind a load balancer.

    Args:
        urls: The issuers.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self.tally = Tally()
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._ended = threading.Event()
        registered = requests.post(
            f"{urls[0]}/register",
            json={
                "client_name": "load",
                "grant_types": [DEVICE_CODE, "refresh_token"],
                "token_endpoint_auth_method": "none",
            },
            timeout=30,
        ).json()
        self._client = {"client_id": registered["client_id"]}

    def run(
        self, while_running: Callable[[], object], *, chains: int = 4, racers: int = 2
    ) -> Tally:
        """Send requests while a function runs, and return the results.

        Args:
            while_running: The function to run.
            chains: Clients that each refresh one login, at the issuers alternately.
            racers: Clients that send each device code to all issuers at the same time.
        """
        with ThreadPoolExecutor(chains + racers) as threads:
            work = [threads.submit(self._chain) for _ in range(chains)]
            work += [threads.submit(self._race) for _ in range(racers)]
            try:
                while_running()
            finally:
                self._ended.set()
            for each in work:
                each.result(2 * PATIENCE)
        return self.tally

    def _chain(self) -> None:
        with requests.Session() as http:
            token = self._login(http)["refresh_token"]
            urls = itertools.cycle(self._urls)
            while True:
                began = time.monotonic()
                response = self._until_answered(http, urls, "refresh_token", refresh_token=token)
                with self._lock:
                    if "refresh_token" not in response:
                        self.tally.lost += 1
                        return
                    self.tally.refreshed += 1
                    self.tally.longest = max(self.tally.longest, time.monotonic() - began)
                token = response["refresh_token"]
                if self._ended.is_set():
                    return

    def _race(self) -> None:
        with ThreadPoolExecutor(len(self._urls)) as issuers, requests.Session() as http:
            while not self._ended.is_set():
                code = self._begin(http)
                asked = [
                    issuers.submit(self._send, http, url, DEVICE_CODE, device_code=code)
                    for url in self._urls
                ]
                won = sum(each.result()[0] == 200 for each in asked)
                with self._lock:
                    self.tally.redeemed += won > 0
                    self.tally.twice += won > 1

    def _login(self, http: requests.Session) -> dict[str, Any]:
        for url in itertools.cycle(self._urls):
            code = self._begin(http)
            status, response = self._send(http, url, DEVICE_CODE, device_code=code)
            if status == 200:
                return response
        raise AssertionError("there are no issuers")

    def _begin(self, http: requests.Session) -> str:
        ends = time.monotonic() + PATIENCE
        urls = itertools.cycle(self._urls)
        while time.monotonic() < ends:
            status, response = self._post(http, f"{next(urls)}/device_authorization", {})
            if status == 200:
                return str(response["device_code"])
            threading.Event().wait(0.05)
        raise AssertionError("no device login could be started")

    def _until_answered(
        self, http: requests.Session, urls: Iterator[str], grant_type: str, **params: str
    ) -> dict[str, Any]:
        """Retry a request until it succeeds or is rejected."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            status, response = self._send(http, next(urls), grant_type, **params)
            if 200 <= status < 500:
                return response
            threading.Event().wait(0.05)
        raise AssertionError("the issuer did not recover")

    def _send(
        self, http: requests.Session, url: str, grant_type: str, **params: str
    ) -> tuple[int, dict[str, Any]]:
        return self._post(http, f"{url}/token", {"grant_type": grant_type, **params})

    def _post(
        self, http: requests.Session, url: str, form: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        reason = ""
        try:
            response = http.post(url, data={**self._client, **form}, timeout=30)
            status, body = response.status_code, response.json()
            if status >= 500:
                reason = f"{status}: {body['error_description'].partition(';')[0]}"
        except requests.RequestException as error:
            status, body = 0, {}
            refused = "refused" in str(error)
            reason = "the issuer is not running" if refused else "the issuer was killed meanwhile"
        new = {body[each] for each in ("access_token", "refresh_token") if each in body}
        with self._lock:
            self.tally.statuses[status] += 1
            if reason:
                self.tally.reasons[reason] += 1
            self.tally.twice += len(new & self._tokens)
            self._tokens |= new
        return status, body
