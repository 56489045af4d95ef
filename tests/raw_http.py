"""Functions that read HTTP messages from a socket, for tests without an HTTP library."""

from __future__ import annotations

import contextlib
import re
import socket

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_NO_BODY = {204, 304}


def read_response(connection: socket.socket) -> bytes:
    """Read one complete response, and leave the bytes after it in the socket.

    A single ``recv`` may return only part of a response. An interim response such as ``100
    Continue`` is returned separately.

    Returns:
        The bytes of the response, incomplete if the other side closes the connection.
    """
    head = _read_until(connection, b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None or int(status[1]) < 200 or int(status[1]) in _NO_BODY:
        return head
    if _CHUNKED.search(head):
        return head + _read_chunks(connection)
    length = _LENGTH.search(head)
    if length is None:
        return head + read_all(connection)
    return head + _read_exactly(connection, int(length[1]))


def read_request(connection: socket.socket) -> bytes:
    """Read one request with the body that its ``Content-Length`` announces."""
    head = _read_until(connection, b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + _read_exactly(connection, int(length[1]) if length else 0)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes or resets the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            got += piece
    return got


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    # Byte by byte, so that the following bytes stay in the socket.
    got = b""
    while not got.endswith(end) and (byte := connection.recv(1)):
        got += byte
    return got


def _read_exactly(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length and (piece := connection.recv(length - len(got))):
        got += piece
    return got


def _read_chunks(connection: socket.socket) -> bytes:
    got = b""
    while line := _read_until(connection, b"\r\n"):
        got += line
        size = int(line.partition(b";")[0], 16)
        if not size:
            return got + _read_until(connection, b"\r\n")
        got += _read_exactly(connection, size + 2)
    return got
