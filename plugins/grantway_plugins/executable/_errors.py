"""The error of a program that gives no usable result, and what it shows of stderr."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grantway._exceptions import ResponseInvalidError
from grantway._secrets.redaction import MASK, SECRET_NAME, printable, scrub

#: Characters of stderr that an error shows, from the end, where programs report failures.
_SHOWN = 1000
# A word with a digit, or a very long one: it could be a token. Slashes separate the parts of paths.
_TOKEN = re.compile(r"(?=[\w\-.~+=]*\d)[\w\-.~+=]{20,}|[\w\-.~+=]{40,}", re.ASCII)
_NAMED_VALUE = re.compile(
    r"""(?P<name>"?[A-Za-z_][\w.-]*"?)(?P<sign>\s*=\s*|\s*:\s*")[^\s"&,;}]+"""
)


class ExecutableError(ResponseInvalidError):
    """A program gave no usable result. The message names it, its setting and a remedy.

    Attributes:
        program: The path of the program.
        setting: The setting that names the program.
        exit_status: Its exit status; negative if a signal ended it, None if grantway did.
        stderr: The end of what it wrote to stderr, without secrets.
    """

    code = "executable_failed"

    def __init__(
        self,
        message: str,
        *,
        program: str = "",
        setting: str = "",
        exit_status: int | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.program = program
        self.setting = setting
        self.exit_status = exit_status
        self.stderr = stderr


def shown_stderr(stderr: bytes, secrets: Iterable[str]) -> str:
    """Return the end of stderr as one line, without secrets and words that could be tokens."""
    text = scrub(stderr.decode("utf-8", "replace"), secrets)
    text = _NAMED_VALUE.sub(_without_value, text)
    return printable(_TOKEN.sub(MASK, text)[-_SHOWN:])


def _without_value(found: re.Match[str]) -> str:
    if not SECRET_NAME.match(found["name"].strip('"')):
        return found[0]
    return f"{found['name']}{found['sign']}{MASK}"
