"""The secret source ``command``: a program prints the secret."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from grantway._exceptions import GrantwayError, SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway._transport.http import can_travel
from grantway._types.quantity import finite
from grantway._types.secret_source import Secret

from ._command import Command
from ._failures import error_of, raise_error
from ._formats import read_format
from ._outputs import PROTOCOL
from ._protocol import ask
from ._times import unix_time


class CommandSource:
    """A secret that a program prints. Registered as the secret source ``command``.

    Args:
        command: The program and its arguments, as for ``Command``.
        timeout: As for ``Command``.
        environment: As for ``Command``.
        output: As for ``Command``; by default the program prints the secret as text.
        lifetime: As for ``Command``.
        folder: As for ``Command``.

    Raises:
        ConfigurationError: An option is invalid.
    """

    #: Option that is the folder of a TOML file, unless it is set.
    folder_option: ClassVar[str] = "folder"

    def __init__(
        self,
        *,
        command: Sequence[str],
        timeout: float = 30.0,
        environment: Sequence[str] = (),
        output: str = "text",
        lifetime: float | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self._command = Command(
            command,
            timeout=timeout,
            environment=environment,
            output=output,
            lifetime=lifetime,
            folder=None if folder is None else Path(folder),
        )

    @hides_arguments
    def read(self) -> Secret:
        """Run the program, and return its secret.

        Raises:
            SecretUnavailableError: The program failed or cannot be run. Its cause is an
                ``ExecutableError``, ``LoginNeededError``,
                ``ProviderUnavailableError``, ``ConfigurationError`` or ``TokenError``.
        """
        try:
            found = self._find()
            return Secret(found["value"], expires_at=unix_time(found.get("expires_at")))
        except GrantwayError as error:
            raise SecretUnavailableError(error.message) from error

    def _find(self) -> Params:
        """Return ``value`` and, if it is known, ``expires_at``."""
        command = self._command
        began = time.time()
        if command.output != PROTOCOL:
            found = read_format(command)
        else:
            reply = ask(command, "secret", {})
            if reply.error is not None:
                raise_error(command, reply.error, ())
            found = reply.result or Params()
            value = found.get("value")
            problem = reply.failure
            if not isinstance(value, str) or not value or not can_travel(value):
                problem = problem or 'replied with a "secret" whose "value" is not a text'
            if problem:
                raise error_of(command, problem)
            if (seconds := finite(found.get("expires_in"))) is not None:
                found.setdefault("expires_at", began + seconds)
        if "expires_at" not in found and command.lifetime is not None:
            found["expires_at"] = began + command.lifetime
        return found
