"""Secrets in files that another program may replace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from grantway._exceptions import SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.secret_source import Secret
from grantway_plugins._file_signature import file_signature
from grantway_plugins._paths import expand

#: Maximum size in bytes; a larger file is not a secret.
_MOST = 1_048_576


@dataclass(frozen=True, slots=True)
class FileSecret:
    """``file``: the content of a file, without spaces and line ends around it.

    The file is checked for every use, and read again when it was changed or replaced: by a rename,
    or by a symbolic link to another folder, as Kubernetes replaces mounted secrets and tokens.

    Attributes:
        path: The path of the file; ``~`` is the home directory.
    """

    #: Options that are relative to the folder of a TOML file.
    path_options: ClassVar[tuple[str, ...]] = ("path",)

    path: str | os.PathLike[str]

    def version(self) -> object:
        """Return time, size and inode of the file; None if it does not exist."""
        return file_signature(self._expanded())

    @hides_arguments
    def read(self) -> Secret:
        """Return the content of the file.

        Raises:
            SecretUnavailableError: The file cannot be read, or contains no secret.
        """
        path = self._expanded()
        try:
            with open(path, "rb", opener=_open) as file:
                content = file.read(_MOST + 1)
        except OSError as error:
            raise SecretUnavailableError(
                f"{path} cannot be read ({error.strerror}); create the file, or correct the path"
            ) from None
        problem = ""
        try:
            text = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            problem = "is not UTF-8; save it as UTF-8"
        else:
            if len(content) > _MOST:
                problem = f"is larger than {_MOST:,} bytes; correct the path"
            elif not text:
                problem = "is empty; write the secret into it"
            else:
                return Secret(text)
        # Outside the except block, because the UnicodeDecodeError holds the content.
        raise SecretUnavailableError(f"{path} {problem}")

    def _expanded(self) -> str:
        return expand(self.path, "an absolute path")


def _open(path: str, flags: int) -> int:
    """Open a file without waiting for a program that writes into a named pipe."""
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(file, True)
    return file
