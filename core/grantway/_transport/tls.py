"""TLS over any stream, so that blocking and asynchronous connections share it."""

from __future__ import annotations

import contextlib
import errno
import ssl

from .sending import Sending
from .stream import READ_SIZE, Stream


class TlsStream:
    """A TLS client on a stream. Call ``handshake`` first.

    Raises:
        OSError: no certificate can have this host name.
    """

    __slots__ = ("_incoming", "_lower", "_object", "_outgoing")

    def __init__(self, lower: Stream, context: ssl.SSLContext, host: str) -> None:
        self._lower = lower
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = host.partition("%")[0].rstrip(".")  # without the zone of an IPv6 address
        try:
            self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except ValueError:
            raise OSError(errno.EINVAL, "the host name is invalid") from None

    async def handshake(self, sending: Sending) -> None:
        """Negotiate TLS and check the server's certificate.

        Raises:
            ssl.SSLError: the certificate is not trusted, or TLS failed.
            OSError: the connection failed, or a limit passed.
        """
        try:
            while True:
                try:
                    self._object.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._exchange(sending)
        except ssl.SSLError:
            with contextlib.suppress(OSError):  # tell the server why
                await self._flush(sending)
            raise
        await self._flush(sending)

    async def send(self, data: memoryview, sending: Sending) -> None:
        while data:
            try:
                data = data[self._object.write(data) :]
            except ssl.SSLWantReadError:  # the server wants to negotiate again
                await self._exchange(sending)
        await self._flush(sending)

    async def receive(self, sending: Sending) -> bytes:
        """Return received bytes; none if the server ended the connection.

        Raises:
            ssl.SSLEOFError: the connection ended without the closing message of TLS.
            OSError: the connection failed, or a limit passed.
        """
        while True:
            try:
                return self._object.read(READ_SIZE)
            except ssl.SSLWantReadError:
                await self._exchange(sending)
            except ssl.SSLZeroReturnError:
                return b""

    async def _exchange(self, sending: Sending) -> None:
        """Send pending bytes, then receive some."""
        await self._flush(sending)
        data = await self._lower.receive(sending)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self, sending: Sending) -> None:
        if self._outgoing.pending:
            await self._lower.send(memoryview(self._outgoing.read()), sending)

    def is_idle(self) -> bool:
        return not self._incoming.pending and not self._object.pending() and self._lower.is_idle()

    def close(self) -> None:
        self._lower.close()
