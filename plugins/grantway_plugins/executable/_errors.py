"""The error of a program that gives no usable result, and what it shows of stderr."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from grantway._exceptions import Evidence, ResponseInvalidError
from grantway._secrets.redaction import MASK, SECRET_NAME, scrub, texts, visible

#: Characters of stderr that an error shows, from the end, where programs report failures.
_SHOWN = 500
#: The same with control characters, which are not shown.
_MOST_ENCODED = 4000
# A word with a digit, or a very long one: it could be a token. Slashes separate the parts of paths.
_TOKEN = re.compile(r"(?=[\w\-.~+=]*\d)[\w\-.~+=]{20,}|[\w\-.~+=]{40,}", re.ASCII)
# Names start at the start of a word, because trying each position of a long word takes minutes.
_NAME = re.compile(r"""(?P<name>["']?(?<![\w.-])[\w.-]++["']?)(?:\s*+=\s*+|\s*+:\s*+(?=["']))""")
_VALUE = re.compile(r"""(?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s"'&,;}]+)""", re.DOTALL)
# Passwords in addresses, and the credentials of headers, of any length.
_CREDENTIALS = re.compile(
    r"""(://(?=[^\s/@]*+@)|\bauthorization["']?\s*+[:=]\s*+["']?\w++\s++)[^\s/@"']++""",
    re.IGNORECASE,
)

#: Parameters that are not secret. The values of all others are removed from messages, because only
#: the program knows which of them are.
_PUBLIC = frozenset(
    {"audience", "client_id", "grant_type", "requested_token_type", "resource", "scope"}
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
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.program = program
        self.setting = setting
        self.exit_status = exit_status
        self.stderr = stderr


def secret_values(params: Mapping[str, Any]) -> list[str]:
    """Return the values of a request to remove from messages."""
    return [text for name, value in params.items() if name not in _PUBLIC for text in texts(value)]


def shown_stderr(stderr: bytes, secrets: Iterable[str]) -> str:
    """Return the end of stderr as one line, without secrets and words that could be tokens."""
    hidden = tuple(secrets)
    text = scrub(stderr.decode("utf-8", "replace"), hidden)
    text = _CREDENTIALS.sub(rf"\1{MASK}", _without_named_values(text))
    # Again without colours and the like, which could divide a secret.
    line = scrub(visible(_TOKEN.sub(MASK, text)[-_MOST_ENCODED:]), hidden)
    return line if len(line) <= _SHOWN else f"...{line[3 - _SHOWN :]}"


def _without_named_values(text: str) -> str:
    kept, done, at = list[str](), 0, 0
    while found := _NAME.search(text, at):
        at = found.end()
        secret = SECRET_NAME.match(found["name"].strip("\"'"))
        if secret and (value := _VALUE.match(text, at)):
            kept += text[done:at], MASK
            done = at = value.end()
    return "".join((*kept, text[done:]))
