"""Read the published keys of an issuer; blocks the thread."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISFIFO
from typing import Protocol
from urllib.parse import urlsplit

from grantway._exceptions import GrantwayError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, require_secure
from grantway._transport.transport import HttpTransport
from grantway._wire.issuer_metadata import read_metadata

from .key_set import InvalidKeySetError, KeySet, published_keys

#: Time limit for reading metadata and keys, in seconds.
DEADLINE = 10.0
#: Maximum size of the metadata, and of the keys, in bytes.
MAX_DOCUMENT = 262_144
#: Maximum size of a token file, in bytes.
_MAX_TOKEN = 65_536
_OK = 200


class PublishedKeys(Protocol):
    """The place of an issuer's keys: one of a file, a URL, and the issuer's metadata."""

    @property
    def issuer(self) -> str:
        """The issuer."""
        ...

    @property
    def jwks_file(self) -> str | None:
        """Path of a file with a JWK Set."""
        ...

    @property
    def jwks_uri(self) -> str | None:
        """URL of the JWK Set."""
        ...

    @property
    def ca_bundle(self) -> str | None:
        """Path of a PEM file with the certificates to trust."""
        ...

    @property
    def token_file(self) -> str | None:
        """Path of a file with a bearer token for ``jwks_uri``."""
        ...


class UnreadableKeysError(Exception):
    """Raised if published keys cannot be read. The message says where and why, without secrets."""


def read_keys(place: PublishedKeys) -> KeySet:
    """Return the published keys of an issuer.

    Raises:
        UnreadableKeysError: the keys cannot be read; says where and why.
    """
    if place.jwks_file is not None:
        where = place.jwks_file
        document = _file("jwks_file", where, MAX_DOCUMENT)
    else:
        where, document = _published(place)
    try:
        return published_keys(document)
    except InvalidKeySetError as error:
        problem = str(error)
    raise UnreadableKeysError(f"the keys at {where} cannot be used: {problem}")


def _published(place: PublishedKeys) -> tuple[str, bytes]:
    """Return the URL of the keys, and the document."""
    deadline = Deadline(DEADLINE)
    try:
        transport = HttpTransport(
            connect_timeout=DEADLINE / 2,
            read_timeout=DEADLINE / 2,
            max_response=MAX_DOCUMENT,
            ca_bundle=place.ca_bundle,
        )
        try:
            uri = place.jwks_uri or _discover(place.issuer, transport, deadline)
            headers = {"Accept": "application/json"}
            if place.token_file is not None:
                token = _file("token_file", place.token_file, _MAX_TOKEN)
                headers["Authorization"] = f"Bearer {token.decode('ascii', 'replace').strip()}"
            response = transport.send(HttpRequest("GET", uri, headers), deadline)
        finally:
            transport.close()
    except GrantwayError as error:
        problem = error.message.rstrip(".")
    else:
        if response.status == _OK:
            return uri, response.body
        problem = f"{uri} returned status {response.status}"
    raise UnreadableKeysError(problem)


def _discover(issuer: str, transport: HttpTransport, deadline: Deadline) -> str:
    uri: str = read_metadata(issuer, issuer, transport, deadline).get("jwks_uri", "")
    require_secure(uri, f"jwks_uri in the metadata of {issuer}")
    if urlsplit(issuer).scheme == "https" and urlsplit(uri).scheme != "https":
        raise UnreadableKeysError(f"the jwks_uri in the metadata of {issuer} is not https")
    return uri


def _file(name: str, path: str, most: int) -> bytes:
    try:
        if S_ISFIFO(Path(path).stat().st_mode):  # opening it could take forever
            content, problem = b"", "is a named pipe"
        else:
            with Path(path).open("rb") as file:
                content = file.read(most + 1)
            problem = f"is larger than {most} bytes" if len(content) > most else ""
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
    else:
        if not problem:
            return content
    raise UnreadableKeysError(f"{name} {path}: {problem}")
