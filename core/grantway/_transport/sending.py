"""The state and the time limits of one request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .deadline import Deadline

#: Chooses among results of ``getaddrinfo``.
Choose: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]

#: Minimum timeout of an operation in seconds; zero would not wait at all.
_LEAST = 0.001


@dataclass(slots=True, eq=False)
class Sending:
    """The state of a request that is being sent.

    Attributes:
        deadline: The deadline of the call.
        read_timeout: Seconds for each operation on an open connection.
        connect_until: The time, on the monotonic clock, until which the connection must be open;
            None once it is.
        reaching_proxy: Whether a proxy has not yet opened the way to the server.
        harmless: See ``Encoded``, once the request is being sent.
        sent: The number of bytes passed to the socket.
        status: The HTTP status, once received.
        choose: Returns those addresses of a host that may be connected to, or raises OSError;
            None for all.
    """

    deadline: Deadline
    read_timeout: float
    connect_until: float | None = None
    reaching_proxy: bool = False
    harmless: int = 0
    sent: int = 0
    status: int | None = None
    choose: Choose | None = None

    def start(self, harmless: int) -> None:
        """Start to count the bytes of a request."""
        self.connect_until = None
        self.harmless, self.sent = harmless, 0

    @property
    def may_have_arrived(self) -> bool:
        """Whether enough bytes were passed to the socket for the server to process the request.

        A server cannot process a POST without its body, so a sent head does not count. With TLS,
        the bytes are encrypted and therefore more, which can only make this true earlier.
        """
        return self.connect_until is None and self.sent > self.harmless

    def timeout(self) -> float:
        """Return the seconds that the next operation may take.

        Raises:
            TimeoutError: the deadline has passed.
        """
        now = time.monotonic()
        limit = self.read_timeout if self.connect_until is None else self.connect_until - now
        left = min(self.deadline.at - now, limit)
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        return max(_LEAST, left)
