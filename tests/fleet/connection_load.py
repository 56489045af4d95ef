"""Callers of gateways: users with their own tokens, who repeat requests that fail."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey

from grantway_plugins.gateway._connections.user import User

AUDIENCE = "https://gateway.example.com"
#: Longest time for one response, and seconds without requests to an unreachable gateway.
_TIMEOUT, _AVOID = 60.0, 0.5
#: Seconds between two attempts of one user.
_PAUSE = 0.5


class Callers:
    """Sends requests of users to several gateways in turn.

    Args:
        ports: Returns the TCP ports of the gateways.
        key: Signs the tokens of the users.

    Attributes:
        outcomes: Number of requests by their outcome; ``200`` is a correct response.
        finished: User -> time of the last correct response.
        denied: Users whom a gateway asked to connect again, and the error.
    """

    def __init__(self, ports: Callable[[], list[int]], key: ECKey) -> None:
        self._ports, self._key = ports, key
        self._avoided: dict[int, float] = {}
        self._chance = random.Random(1)
        self.outcomes: Counter[str] = Counter()
        self.finished: dict[str, float] = {}
        self.denied: dict[str, str] = {}

    async def run(self, users: Iterable[User], at_once: int, until: float | None = None) -> None:
        """Send requests for users until each got a response, or until a time.

        Args:
            users: The users; may be infinite.
            at_once: Number of concurrent requests.
            until: Time on the monotonic clock after which no other user follows.
        """
        waiting = iter(users)

        async def work() -> None:
            wires: dict[int, _Wire] = {}
            for user in waiting:
                await self._one(user, wires)
                if until is not None and time.monotonic() >= until:
                    break
            for wire in wires.values():
                await wire.close()

        await asyncio.gather(*(work() for _ in range(at_once)))

    async def _one(self, user: User, wires: dict[int, _Wire]) -> None:
        """Repeat a user's request until it succeeds, or the user has to connect again."""
        authorization = f"Bearer {self._token(user)}"
        for _ in range(200):
            port = self._port()
            outcome = await self._outcome(user, authorization, port, wires)
            self.outcomes[outcome] += 1
            if outcome == "200":
                self.finished[user.subject] = time.monotonic()
                return
            if outcome.startswith("403"):
                self.denied[user.subject] = outcome
                return
            await asyncio.sleep(_PAUSE * self._chance.uniform(0.5, 1.0))
        self.denied[user.subject] = outcome

    async def _outcome(
        self, user: User, authorization: str, port: int, wires: dict[int, _Wire]
    ) -> str:
        wire = wires.pop(port, None)
        works = False
        try:
            async with asyncio.timeout(_TIMEOUT):
                if wire is None:
                    wire = await _Wire.open(port)
                status, body = await wire.get(authorization)
            works = True
        except ConnectionRefusedError:
            self._avoided[port] = time.monotonic() + _AVOID
            return "connection refused"
        except TimeoutError:
            return "no response"
        except (OSError, EOFError, asyncio.LimitOverrunError):
            self._avoided[port] = time.monotonic() + _AVOID
            return "connection lost"
        finally:
            if wire is not None and not works:
                await wire.close()
        wires[port] = wire
        if status != 200:
            return f"{status} {body.get('error', '')}".strip()
        if body["tenant"] != user.subject:
            return "ANOTHER USER'S TOKEN"
        return "AN EXPIRED TOKEN" if body["ended"] else "200"

    def _port(self) -> int:
        ports, now = self._ports(), time.monotonic()
        usable = [each for each in ports if self._avoided.get(each, 0.0) <= now]
        return self._chance.choice(usable or ports)

    def _token(self, user: User) -> str:
        now = int(time.time())
        claims = {
            "iss": user.issuer,
            "sub": user.subject,
            "aud": AUDIENCE,
            "client_id": "app",
            "jti": f"{now}-{self._chance.random()}",
            "iat": now,
            "exp": now + 3600,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._key.kid}
        return jwt.encode(header, claims, self._key)


def new_key(folder: Path) -> ECKey:
    """Return a new signing key, whose public part is in ``FOLDER/keys.json``."""
    key = ECKey.generate_key("P-256", {"kid": "k", "alg": "ES256", "use": "sig"})
    public = {"keys": [key.as_dict(private=False)]}
    (folder / "keys.json").write_text(json.dumps(public))
    return key


class _Wire:
    """A persistent connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Wire:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, authorization: str) -> tuple[int, dict[str, object]]:
        headers = f"host: gateway.test\r\nauthorization: {authorization}\r\n\r\n"
        self._writer.write(b"GET / HTTP/1.1\r\n" + headers.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        lines = head.split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(length)
        return int(lines[0].split()[1]), json.loads(body) if body.startswith(b"{") else {}

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
