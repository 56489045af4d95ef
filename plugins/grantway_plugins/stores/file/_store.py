"""A store of files: one a token, replaced whole, for this user's eyes only."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grantway._credentials.token_format import decode_token, encode_token, is_newer_format
from grantway._exceptions import StoreError, StoreSaveError, StoreUnreadableError
from grantway._processes.copies import OneProcess
from grantway_plugins._paths import expand, require_writable

from ._format import INSTEAD, default_folder, path_of
from ._lock import KeyLocks
from ._problems import advice

if TYPE_CHECKING:
    from grantway._types.token import Token

_log = logging.getLogger("grantway")

#: Seconds after which a file that is half written has no writer any more.
_ABANDONED = 3600.0
#: Bytes by which a new token may be longer than the one before, and still have been proved.
_GROWTH = 1024


class FileStore(OneProcess):
    """Keeps each token in a file of its own, with mode 0600.

    A token that was saved outlives the process, a kill at any moment, and a power cut where the
    disk keeps what it was told to (``fsync``). Its lock covers every thread and process that
    names the same folder on this machine.

    Args:
        folder: Where the files lie. It is made, with mode 0700, when the first token is saved;
            ``grantway/tokens`` in the user's state folder where None is given. ``~`` is the home
            directory.

    Raises:
        ConfigurationError: there is no home directory, or the default folder cannot be made there;
            names the setting.
    """

    #: How the names of half-written files end.
    _temporary = ".tmp"

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is None:
            self._folder = Path(require_writable(default_folder(), "state", INSTEAD))
        else:
            self._folder = Path(expand(folder, "the store's folder to an absolute path"))
        self._locks = KeyLocks(self._folder)
        self._swept = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the folder; the files are shared."""
        return type(self), (self._folder,)

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``.

        A file that cannot be understood is renamed to ``*.corrupt-<time>``, which is logged as a
        warning, and counts as not there. One of a later version stays where it is.
        """
        path = self._path(key)
        data = _read(path)
        if data is None:
            return None
        try:
            return decode_token(data, str(path))
        except StoreUnreadableError as error:
            later = is_newer_format(data)
            data = None  # a report that shows the locals of each frame would show it
            if later:
                raise
            problem = str(error)
        return self._set_aside(path, problem)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``; the fence is not looked at, since the lock cannot be lost."""
        path = self._path(key)
        refused = self._replace(path, encode_token(token))
        if refused:
            raise StoreSaveError(f"{path}: the token could not be saved: {refused}")

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``; the fence is not looked at, since the lock cannot be lost."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except FileNotFoundError:
            return  # not even the folder is there
        except OSError as error:
            raise StoreError(f"{path}: could not be deleted: {advice(error)}") from None

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; the fence is 0."""
        return self._locks.hold(key, timeout)

    def path(self, key: str) -> Path:
        """The file in which the token of a key lies, or would."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return Path(path_of(str(self._folder), key))

    def __repr__(self) -> str:
        return f"FileStore({str(self._folder)!r})"

    def check_writable(self, key: str, token: Token) -> None:
        """See ``grantway.Store``: write a file as large as the token's, and remove it.

        Raises:
            StoreSaveError: a token could not be saved; says why and what to do.
        """
        path = self._path(key)
        refused = self._replace(path, b" " * (len(encode_token(token)) + _GROWTH), for_good=False)
        if refused:
            raise StoreSaveError(f"{path}: a new token could not be saved: {refused}")

    def _replace(self, path: Path, data: bytes, *, for_good: bool = True) -> str:
        """Put the data in place of what is there, or say why not and leave that as it is.

        Args:
            path: Where.
            data: What.
            for_good: Do it; else go only as far as nothing is changed.
        """
        temporary = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            # Made with mode 0600, under a name that nobody else has.
            handle, name = tempfile.mkstemp(self._temporary, f"{path.stem}.", path.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if for_good:
                temporary.replace(path)
                temporary = None
                _sync_folder(path.parent)
        except OSError as error:
            return advice(error)
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        return ""

    def _sweep(self) -> None:
        """Remove, once, what writers that were killed have left half written."""
        if self._swept:
            return
        self._swept = True
        oldest = time.time() - _ABANDONED
        for left in self._folder.glob(f"*{self._temporary}"):
            with contextlib.suppress(OSError):
                if left.lstat().st_mtime < oldest:
                    left.unlink()

    def _set_aside(self, path: Path, problem: str) -> Token | None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = path.with_name(f"{path.name}.corrupt-{now}")
        try:
            path.rename(aside)
            aside.chmod(0o600)
        except FileNotFoundError:
            return None  # another reader was faster, or it was deleted
        except OSError as error:
            raise StoreUnreadableError(
                f"{problem} It could not be set aside as {aside.name}: {advice(error)}"
            ) from None
        token = self._understood(aside)
        if token is None:
            _log.warning("%s It was set aside as %s; log in again.", problem, aside.name)
            return None
        # A good one had taken its place between the look and the move: it goes back, unless
        # one that is newer still is there.
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        return token

    def _understood(self, path: Path) -> Token | None:
        """The token of a file, if it is whole; another format of files has its own."""
        with contextlib.suppress(StoreUnreadableError, OSError):
            return decode_token(path.read_bytes(), "")
        return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnreadableError(f"{path}: cannot be read: {advice(error)}") from None


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlive a power cut."""
    if os.name == "nt":  # where a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing
            raise
    finally:
        os.close(handle)
