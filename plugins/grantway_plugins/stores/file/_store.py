"""A store that saves each token in a private file, which it replaces atomically."""

from __future__ import annotations

import contextlib
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
from grantway_plugins._paths import (
    TOKEN_FOLDER_SETTING,
    expand,
    require_writable,
    token_folder,
)

from ._format import path_of
from ._lock import KeyLocks
from ._problems import advice
from ._sync import sync_folder

if TYPE_CHECKING:
    from grantway._types.token import Token

_log = logging.getLogger("grantway")

#: Seconds after which a temporary file is considered abandoned by its writer.
_ABANDONED = 3600.0
#: Bytes that ``check_writable`` adds, because the next token may be longer.
_GROWTH = 1024


class FileStore(OneProcess):
    """Saves each token in a separate file with mode 0600.

    A saved token survives the end of the process, a kill at any moment and, if the disk honours
    ``fsync``, a power cut. The lock covers every thread and process on this machine that uses the
    same folder.

    Args:
        folder: Folder of the files; ``~`` is the home directory. Created with mode 0700 when the
            first token is saved. Defaults to ``grantway/tokens`` in the user's state folder.

    Raises:
        ConfigurationError: There is no home directory, or the default folder cannot be created;
            names the setting.
    """

    #: Suffix of temporary files.
    _temporary = ".tmp"

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is None:
            self._folder = Path(require_writable(token_folder(), "state", TOKEN_FOLDER_SETTING))
        else:
            self._folder = Path(expand(folder, "the store's folder to an absolute path"))
        self._locks = KeyLocks(self._folder)
        self._swept = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the folder; a copy uses the same files."""
        return type(self), (self._folder,)

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``.

        A corrupt file is renamed to ``*.corrupt-<time>``, logged as a warning, and treated as
        missing. A file written by a newer version is left in place and raises an error.
        """
        path = self._path(key)
        data = _read(path)
        if data is None:
            return None
        try:
            return decode_token(data, str(path))
        except StoreUnreadableError as error:
            newer = is_newer_format(data)
            data = None  # error reports that print the locals of each frame would reveal it
            if newer:
                raise
            problem = str(error)
        return self._set_aside(path, problem)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token. The fence is ignored, because the lock cannot be lost."""
        path = self._path(key)
        problem = self._replace(path, encode_token(token))
        if problem:
            raise StoreSaveError(f"{path}: the token could not be saved: {problem}")

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token. The fence is ignored, because the lock cannot be lost."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        except FileNotFoundError:
            return  # the folder does not exist either
        except OSError as error:
            raise StoreError(f"{path}: could not be deleted: {advice(error)}") from None

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key with a file lock; the fence is 0."""
        return self._locks.hold(key, timeout)

    def path(self, key: str) -> Path:
        """Return the path of a key's file, whether or not the file exists."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return Path(path_of(str(self._folder), key))

    def __repr__(self) -> str:
        return f"FileStore({str(self._folder)!r})"

    def check_writable(self, key: str, token: Token) -> None:
        """Write a temporary file slightly larger than the token's, and remove it.

        Raises:
            StoreSaveError: A token could not be saved; gives the reason and a remedy.
        """
        path = self._path(key)
        problem = self._replace(path, b" " * (len(encode_token(token)) + _GROWTH), dry_run=True)
        if problem:
            raise StoreSaveError(f"{path}: a new token could not be saved: {problem}")

    def _replace(self, path: Path, data: bytes, *, dry_run: bool = False) -> str:
        """Replace a file atomically; return why that failed, or an empty string.

        Args:
            path: The file to replace. Unchanged on failure.
            data: The new content.
            dry_run: Write the temporary file only, and remove it.
        """
        temporary = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            # Created with mode 0600 under a unique name.
            handle, name = tempfile.mkstemp(self._temporary, f"{path.stem}.", path.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not dry_run:
                temporary.replace(path)
                temporary = None
                sync_folder(path.parent)
        except OSError as error:
            return advice(error)
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        return ""

    def _sweep(self) -> None:
        """Remove, once per store, the temporary files of writers that were killed."""
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
        token = self._load_whole(aside)
        if token is None:
            _log.warning("%s It was set aside as %s; log in again.", problem, aside.name)
            return None
        # A valid file replaced the corrupt one between reading and renaming. Move it back, unless
        # an even newer file exists by now.
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        return token

    def _load_whole(self, path: Path) -> Token | None:
        """Return the token of a valid file, or None."""
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
