"""A store in the AWS CLI's cache, which shares logins with the AWS CLI and AWS's SDKs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from grantway._exceptions import LeaseLostError, StoreSaveError, StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway_plugins._paths import expand, require_writable
from grantway_plugins.stores.file._problems import advice
from grantway_plugins.stores.file._store import FileStore

from .format import REGISTRATION, Fields, decode, encode, fields_of, name_of
from .times import read_time

if TYPE_CHECKING:
    from grantway._types.token import Token

_log = logging.getLogger("grantway")

DEFAULT_FOLDER = "~/.aws/sso/cache"
#: Advice for users without a home directory.
_INSTEAD = "the folder of the AWS CLI's cache to an absolute path"

#: Longest time for which a file can be incomplete, in seconds: not all tools replace it atomically.
_WRITE_TIME = 0.5
#: Seconds between two attempts to read an incomplete file.
_READ_INTERVAL = 0.01
#: Maximum number of refresh tokens whose registration is cached.
_CACHED_REGISTRATIONS = 64


class AwsCliStore(FileStore):
    """Stores tokens in the files and the format of the AWS CLI and AWS's SDKs.

    The key is the NAME of the section ``[sso-session NAME]``, or the start URL of a legacy profile.
    The file's name is a hash of it. ``grantway_plugins.aws.sso_session`` creates the store and
    everything else that a login needs from ``~/.aws/config``.

    The client's registration is stored with the token, because only that client can use the refresh
    token. In ``Token.extra`` it is ``clientId``, ``clientSecret`` and ``registrationExpiresAt``. If
    a token to save has none, as after a refresh, the one in the file is kept. Fields of other
    programs are kept too.

    Other files in the folder are not changed. grantway's temporary files end in ``.grantway.tmp``.

    The AWS tools take no locks. ``save`` and ``delete`` detect what they wrote while grantway held
    its lock.

    Args:
        folder: Folder of the files.
        start_url: Start URL to write into the files; None keeps the one in the file.
        region: Region to write into the files; None keeps the one in the file.
    """

    # Remove only grantway's own temporary files.
    _temporary = ".grantway.tmp"

    def __init__(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        start_url: str | None = None,
        region: str | None = None,
    ) -> None:
        found = expand(folder, _INSTEAD)
        if os.fspath(folder).startswith("~"):
            require_writable(found, "home", _INSTEAD)
        self.folder = Path(found)
        super().__init__(self.folder)
        self._about = {"startUrl": start_url, "region": region}
        self._registrations: LRUCache[str, Masked[dict[str, str]]] = LRUCache(_CACHED_REGISTRATIONS)
        # Also for reading, which moves an entry to the front.
        self._registrations_lock = threading.Lock()
        #: Content of the file when the lock was taken or it was last saved, by key and fence.
        self._held: dict[tuple[str, int], Fields] = {}
        self._last_fence = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the folder, start URL and region."""
        start_url, region = self._about["startUrl"], self._about["region"]
        return partial(type(self), start_url=start_url, region=region), (self.folder,)

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``.

        For a file in an unknown format, log a warning and return None. The file is kept, because
        another tool may understand it.
        """
        path = self._path(key)
        data, written_at = _settled(path)
        if data.value is None:
            return None
        try:
            token = decode(fields_of(data), written_at, str(path))
        except StoreUnreadableError as error:
            problem = str(error)
        else:
            if token.refresh_token is not None:
                registration = {name: token.extra.get(name, "") for name in REGISTRATION}
                with self._registrations_lock:
                    self._registrations[_digest(token.refresh_token)] = Masked(registration)
            return token
        _log.warning(
            "%s The file is unchanged. If another tool wrote it, update grantway. A new login "
            "replaces its token.",
            problem,
        )
        return None

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``.

        With a fence, the result depends on what an AWS tool did to the file since it was locked:

        - It removed the file: the user logged out, and the token is not saved.
        - It wrote another registration: the user logged in, and the token is not saved.
        - It wrote a token that expires later, or in the same second: it used the refresh token
          last, and the token is not saved, because providers may accept only the latest.
        - It wrote a token that expires earlier: it used the refresh token first, and the token is
          saved.

        Raises:
            LeaseLostError: The token in the file takes precedence; load it. Nothing was changed.
            StoreSaveError: The file could not be written.
        """
        path = self._path(key)
        there = fields_of(_settled(path)[0])
        if fence:
            before = self._before(key, fence)
            if there != before:
                _yield_to(path, there, before, token)
                there = before if there.value is None else there
        fields = encode(token, there, self._about)
        self.write(path, fields)
        if fence:
            self._held[key, fence] = fields

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``. With a fence, keep a file that an AWS tool wrote since the lock.

        Raises:
            LeaseLostError: An AWS tool wrote the file; nothing was changed.
            StoreError: The file could not be deleted.
        """
        path = self._path(key)
        if fence:
            before = self._before(key, fence)
            if fields_of(_settled(path)[0]) not in (before, _NOTHING):
                raise LeaseLostError(f"{path}: another program changed the file after it was read.")
            self._held[key, fence] = _NOTHING
        super().delete(key)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[int]:
        """See ``grantway.Store``. The lock excludes grantway; the fence detects the AWS tools."""
        with super().lock(key, timeout):
            fence = self._last_fence = max(time.time_ns(), self._last_fence + 1)
            self._held[key, fence] = self.read(self._path(key))
            try:
                yield fence
            finally:
                del self._held[key, fence]

    def registration_of(self, refresh_token: str) -> Mapping[str, str]:
        """Return the registration stored with a refresh token, by the names in the file.

        Return an empty mapping if this store has not loaded the token.
        """
        with self._registrations_lock:
            found = self._registrations.get(_digest(refresh_token))
        return {} if found is None else found.value

    def path(self, key: str) -> Path:
        """Return the path of a key's file."""
        return self.folder / name_of(key)

    def read(self, path: Path) -> Fields:
        """Return the content of a file of the cache; None if it is missing or not a JSON object.

        Raises:
            StoreUnreadableError: The file cannot be read.
        """
        return fields_of(_settled(path)[0])

    def write(self, path: Path, fields: Fields) -> None:
        """Replace a file of the cache atomically, readable by this user only.

        Raises:
            StoreSaveError: The file could not be written and is unchanged.
        """
        problem = self._replace(path, json.dumps(fields.value).encode())
        if problem:
            raise StoreSaveError(f"{path}: could not be saved: {problem}")

    def __repr__(self) -> str:
        return f"AwsCliStore({str(self.folder)!r})"

    def _path(self, key: str) -> Path:
        return self.path(key)

    def _before(self, key: str, fence: int) -> Fields:
        found = self._held.get((key, fence))
        if found is None:
            raise LeaseLostError(f"{self._path(key)}: its lock was released; nothing was changed.")
        return found


_NOTHING: Fields = Masked(None)


def _yield_to(path: Path, there: Fields, before: Fields, token: Token) -> None:
    """Raise ``LeaseLostError`` if the content written by another program takes precedence."""
    theirs, read = there.value or {}, before.value or {}
    client = token.extra.get("clientId")
    if client is not None and client != read.get("clientId"):
        return  # a new login with grantway
    theirs_end = read_time(theirs.get("expiresAt"))
    if there.value is None and not path.exists():
        problem = "it was removed, as by a logout"
    elif theirs and theirs.get("clientId") != read.get("clientId"):
        problem = "it belongs to another login"
    elif theirs and (
        theirs_end is None or token.expires_at is None or theirs_end // 1 >= token.expires_at // 1
    ):
        problem = "its token is newer"
    else:
        return
    theirs, read = {}, {}  # error reports with locals would show them
    raise LeaseLostError(f"{path}: another program changed the file after it was read: {problem}.")


def _settled(path: Path) -> tuple[Masked[bytes | None], float]:
    """Return the content and the modification time of a file, after waiting for writers.

    The AWS CLI and the SDK for JavaScript truncate a file and then write it.
    """
    end = time.monotonic() + _WRITE_TIME
    while True:
        try:
            with path.open("rb") as file:
                data: Masked[bytes | None] = Masked(file.read())
                written_at = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return Masked(None), 0.0
        except OSError as error:
            problem = advice(error)
            break
        complete = time.time() - written_at >= _WRITE_TIME or time.monotonic() >= end
        if complete or fields_of(data).value is not None:
            return data, written_at
        time.sleep(_READ_INTERVAL)
    raise StoreUnreadableError(f"{path}: cannot be read: {problem}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
