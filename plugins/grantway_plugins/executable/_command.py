"""The settings of a program that grantway runs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError, ConnectionFailedError
from grantway._processes.copies import Value
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.masked import Masked
from grantway._types.quantity import check_seconds

from ._outputs import FORMATS, PROTOCOL

if TYPE_CHECKING:
    from ._process import Finished

_LONGEST = 600


@dataclass(frozen=True, repr=False)
class Command(Value):
    """A program, its arguments and limits. Creating one runs nothing.

    Attributes:
        command: The program and its arguments. The program is a path, or a name that is looked up
            in ``PATH``. It must not be writable by other users.
        timeout: Seconds after which the program and its children are killed; at most 600.
        environment: Names of environment variables that the program gets besides the usual ones
            such as ``HOME`` and ``PATH``; ``*`` matches any characters. Nothing else of the
            environment is passed on, because it may contain secrets.
        folder: Folder that a relative path of the program starts at; by default the current one.
        output: The format of the program's output: ``grantway`` (the protocol), ``text``,
            ``exec-credential`` or ``google``.
        lifetime: Seconds for which a result is valid if the program does not say; None means that
            it has no known end.
        setting: The setting that names the program, for errors.

    Raises:
        ConfigurationError: An attribute is invalid.
    """

    command: Sequence[str]
    timeout: float = 30.0
    environment: Sequence[str] = ()
    folder: Path | None = None
    output: str = "grantway"
    lifetime: float | None = None
    setting: str = "command"

    def __post_init__(self) -> None:
        for name in ("command", "environment"):
            words = _words(self.setting, name, getattr(self, name), least=name == "command")
            object.__setattr__(self, name, words)
        check_seconds(f"{self.setting}: timeout", self.timeout, most=_LONGEST)
        if self.lifetime is not None:
            check_seconds(f"{self.setting}: lifetime", self.lifetime)
        if self.output != PROTOCOL and self.output not in FORMATS:
            rule = f"must be one of {', '.join([PROTOCOL, *FORMATS])}"
            raise ConfigurationError(
                f"{self.setting}: output: {rule}, not {self.output!r:.80}.",
                errors={"output": [rule]},
            )

    def __repr__(self) -> str:
        # Without arguments, which a user may have given secrets.
        return f"Command({self.command[0]!r})"

    @property
    def name(self) -> str:
        """The name of the program without its folder."""
        return os.path.basename(self.command[0])  # noqa: PTH119

    @property
    def where(self) -> str:
        """The setting and the program, for errors."""
        return f"{self.setting}: {self.command[0]}"

    @hides_arguments
    def run(
        self,
        request: Mapping[str, Any] | None,
        *,
        timeout: float | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Finished:
        """Run the program with a request on its standard input.

        Args:
            request: The request, written as one line of JSON; None for no input.
            timeout: Seconds, if less than ``timeout`` of the settings.
            variables: Environment variables to set.

        Raises:
            ConfigurationError: The program cannot be run, or must not be.
            ConnectionFailedError: The system could not start a program, for example for lack of
                memory.
        """
        # Files with settings load this module, and few of them name a program.
        from ._process import ended_programs, finish, start  # noqa: PLC0415
        from ._program import environment, locate  # noqa: PLC0415

        program = locate(self.command[0], self.folder, self.setting)
        limit = self.timeout if timeout is None else max(0.001, min(timeout, self.timeout))
        given = Masked(b"" if request is None else _line(request))
        passed = environment(self.environment, variables)
        with ended_programs() as started:
            try:
                process = start([program, *self.command[1:]], passed, started)
            except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
                # The file exists, so the system did not find the interpreter in its first line.
                problem = (
                    f"cannot be started ({error.strerror}); check the first line of the script"
                )
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise ConnectionFailedError(
                        f"{self.setting}: {program} could not be started: {error.strerror}. "
                        "Nothing was sent."
                    ) from error
                problem = (
                    "is neither a program of this machine nor a script with an interpreter; start "
                    "a script with a line such as #!/bin/sh"
                )
            else:
                return finish(process, given, limit)
        raise ConfigurationError(
            f"{self.setting}: {program} {problem}.", errors={self.setting: [problem]}
        )


def _line(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":"), default=str).encode() + b"\n"


def _can_be_passed(word: str) -> bool:
    """Return whether the system can pass a text to a program."""
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _words(setting: str, name: str, value: object, *, least: int) -> tuple[str, ...]:
    """Return a list of texts as a tuple, or raise ``ConfigurationError``."""
    if (
        isinstance(value, Iterable)
        and not isinstance(value, (str, bytes, Mapping))
        and len(words := tuple(value)) >= least
        and all(isinstance(each, str) and _can_be_passed(each) for each in words)
        and all(words[:least])
    ):
        return words
    example = '["/usr/local/bin/my-program", "--option"]' if least else '["AWS_PROFILE"]'
    rule = f"must be a list of texts, like {example}"
    raise ConfigurationError(f"{setting}: {name}: {rule}.", errors={name: [rule]})
