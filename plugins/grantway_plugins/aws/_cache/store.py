"""A store in the AWS CLI's cache: boto3, the AWS CLI, AWS's SDKs and grantway share one login."""

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
#: What to set where the user has no home directory.
_INSTEAD = "the folder of the AWS CLI's cache to an absolute path"

#: Seconds for which a file may be half written: not all AWS tools replace it whole.
_SETTLES = 0.5
_GLANCE = 0.01
#: Refresh tokens whose registration is remembered.
_REMEMBERED = 64


class AwsCliStore(FileStore):
    """Keeps tokens where the AWS CLI and AWS's SDKs look for them, in their format.

    The key is the NAME of the section ``[sso-session NAME]``, or for an older profile its start
    URL: the AWS tools name the file after it. ``grantway_plugins.aws.sso_session`` makes
    the store and all that belongs to it from ``~/.aws/config``.

    The client's registration lies beside the token, because a refresh token is worth nothing
    without it. In ``Token.extra`` it is ``clientId``, ``clientSecret`` and
    ``registrationExpiresAt``: a token that is loaded has it, a token from a login brings it, and
    a token from a refresh, which has none, leaves what is there. Fields of other programs stay.

    Nothing else in the folder is renamed or removed; the temporary files that grantway removes end
    in ``.grantway.tmp``.

    AWS's tools take no lock. What they have written while grantway held its own is found when it
    saves or deletes; see there.

    Args:
        folder: Where the files lie.
        start_url: The start URL to write into the files; None leaves what is there.
        region: The region to write into the files; None leaves what is there.
    """

    # Another tool's temporary files are its own to remove.
    _temporary = ".grantway.tmp"

    def __init__(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        start_url: str | None = None,
        region: str | None = None,
    ) -> None:
        #: Where the files lie.
        found = expand(folder, _INSTEAD)
        if os.fspath(folder).startswith("~"):
            require_writable(found, "home", _INSTEAD)
        self.folder = Path(found)
        super().__init__(self.folder)
        self._about = {"startUrl": start_url, "region": region}
        self._registrations: LRUCache[str, Masked[dict[str, str]]] = LRUCache(_REMEMBERED)
        # Even reading moves an entry to the front.
        self._remembering = threading.Lock()
        #: Key and fence -> what the file held when the lock was taken, or was saved since.
        self._held: dict[tuple[str, int], Fields] = {}
        self._last_fence = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the folder and what is written into the files, which are shared."""
        start_url, region = self._about["startUrl"], self._about["region"]
        return partial(type(self), start_url=start_url, region=region), (self.folder,)

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``.

        A file in an unknown format holds no token of ours to load. It stays unchanged, because
        another tool may understand it, and a warning names it.
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
                with self._remembering:
                    self._registrations[_digest(token.refresh_token)] = Masked(registration)
            return token
        _log.warning(
            "%s The file stays unchanged. Update grantway if another tool wrote it; a new login "
            "replaces its token.",
            problem,
        )
        return None

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``.

        With a fence, a file that an AWS tool has written meanwhile is treated so:

        - It is gone: somebody logged out, and that counts.
        - It has another registration: somebody logged in, and that counts.
        - Its token ends later than ours, or in the same second: both came of one refresh token,
          and theirs last. Theirs stays, since a provider that takes only its latest answer takes
          theirs.
        - Its token ends before ours: theirs came first, and ours is saved.

        Raises:
            LeaseLostError: what is there counts, so load it; nothing was changed.
            StoreSaveError: it could not be saved.
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
        """See ``grantway.Store``; with a fence, what an AWS tool has written meanwhile stays.

        Raises:
            LeaseLostError: an AWS tool has written it; nothing was changed.
            StoreError: it could not be deleted.
        """
        path = self._path(key)
        if fence:
            before = self._before(key, fence)
            if fields_of(_settled(path)[0]) not in (before, _NOTHING):
                raise LeaseLostError(f"{path}: another program has written it since it was read.")
            self._held[key, fence] = _NOTHING
        super().delete(key)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[int]:
        """See ``grantway.Store``; it excludes grantway, and the fence tells of AWS's tools."""
        with super().lock(key, timeout):
            fence = self._last_fence = max(time.time_ns(), self._last_fence + 1)
            self._held[key, fence] = self.read(self._path(key))
            try:
                yield fence
            finally:
                del self._held[key, fence]

    def registration_of(self, refresh_token: str) -> Mapping[str, str]:
        """The registration that a refresh token was loaded with, by the names in the file.

        Empty where this store has not loaded it.
        """
        with self._remembering:
            found = self._registrations.get(_digest(refresh_token))
        return {} if found is None else found.value

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.folder / name_of(key)

    def read(self, path: Path) -> Fields:
        """The fields of a file of the cache; None where there are none that can be understood.

        Raises:
            StoreUnreadableError: the system does not let it be read.
        """
        return fields_of(_settled(path)[0])

    def write(self, path: Path, fields: Fields) -> None:
        """Replace a file of the cache, whole and for this user alone.

        Raises:
            StoreSaveError: it could not be saved; what was there is still there.
        """
        refused = self._replace(path, json.dumps(fields.value).encode())
        if refused:
            raise StoreSaveError(f"{path}: could not be saved: {refused}")

    def __repr__(self) -> str:
        return f"AwsCliStore({str(self.folder)!r})"

    def _path(self, key: str) -> Path:
        return self.path(key)

    def _before(self, key: str, fence: int) -> Fields:
        found = self._held.get((key, fence))
        if found is None:
            raise LeaseLostError(f"{self._path(key)}: its lock was let go; nothing was changed.")
        return found


_NOTHING: Fields = Masked(None)


def _yield_to(path: Path, there: Fields, before: Fields, token: Token) -> None:
    """Refuse to save over what another program has written, where that counts."""
    theirs, read = there.value or {}, before.value or {}
    client = token.extra.get("clientId")
    if client is not None and client != read.get("clientId"):
        return  # a login of ours, and the latest there is
    theirs_end = read_time(theirs.get("expiresAt"))
    if there.value is None and not path.exists():
        rule = "it was removed, as by a logout"
    elif theirs and theirs.get("clientId") != read.get("clientId"):
        rule = "it is of another login"
    elif theirs and (
        theirs_end is None or token.expires_at is None or theirs_end // 1 >= token.expires_at // 1
    ):
        rule = "its token came last"
    else:
        return
    theirs, read = {}, {}  # a report that shows the locals of each frame would show them
    raise LeaseLostError(f"{path}: another program has written it since it was read, and {rule}.")


def _settled(path: Path) -> tuple[Masked[bytes | None], float]:
    """What a file holds, and when it was written; waits while it is being written.

    The AWS CLI and the SDK for JavaScript empty a file and fill it again.
    """
    end = time.monotonic() + _SETTLES
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
        at_rest = time.time() - written_at >= _SETTLES or time.monotonic() >= end
        if at_rest or fields_of(data).value is not None:
            return data, written_at
        time.sleep(_GLANCE)
    raise StoreUnreadableError(f"{path}: cannot be read: {problem}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
