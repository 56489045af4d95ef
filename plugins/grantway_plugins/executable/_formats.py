"""Output formats of programs that were written for other tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from grantway._secrets.params import Params
from grantway._secrets.redaction import printable, scrub
from grantway._transport.http import can_travel

from ._command import Command
from ._errors import shown_stderr
from ._failures import STATUSES, failure_of, raise_error, report_stderr
from ._outputs import FORMATS, Format, Path
from ._protocol import read_object
from ._times import unix_time

#: Control characters, except those between and within lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read_format(
    command: Command, secrets: Iterable[str] = (), timeout: float | None = None
) -> Params:
    """Run a program of another format; return ``value`` and, if it is stated, ``expires_at``.

    Args:
        command: The program; its output has one of ``FORMATS``.
        secrets: Secrets to remove from messages.
        timeout: Seconds, if less than the program's own limit.

    Raises:
        ExecutableError: The program failed, or its output has another format.
        ConfigurationError: The program cannot be run.
        ConnectionFailedError: The system could not start a program.
        LoginNeededError: It exited with status 77.
        ProviderUnavailableError: It exited with status 75.
    """
    form = FORMATS[command.output]
    finished = command.run(None, timeout=timeout, variables=form.variables)
    found, problem = Params(), ""
    if finished.status == 0 and not finished.ended:
        if form.value:
            message, problem = read_object(finished, secrets)
            found = _found(message or {}, form)
            if not problem and not found:
                places = " or ".join(".".join(path) for path in form.value)
                said = None if message is None else message.get("message")
                problem = f"printed a JSON object without text at {places}"
                if isinstance(said, str):
                    problem += f"; its message is: {printable(scrub(said, secrets))}"
        else:
            found, problem = _text(finished.stdout)
    if (code := STATUSES.get(finished.status)) and not finished.ended:
        said = shown_stderr(finished.stderr, secrets)
        raise_error(command, {"error": code, "error_description": said}, secrets)
    if problem or not found:
        raise failure_of(command, finished, problem, secrets)
    report_stderr(command, finished, (*secrets, found["value"]))
    return found


def _text(stdout: bytes) -> tuple[Params, str]:
    text = stdout.decode("utf-8", "surrogateescape").strip()
    if not text:
        return Params(), "printed nothing on stdout"
    if text[0] == "<":
        return Params(), "printed HTML on stdout"
    if not can_travel(text):
        return Params(), "printed text on stdout that is not UTF-8"
    if _CONTROL.search(text):
        return Params(), "printed control characters, such as colours, on stdout"
    return Params(value=text), ""


def _found(message: Mapping[str, Any], form: Format) -> Params:
    value = next((each for path in form.value if (each := _at(message, path))), None)
    if not isinstance(value, str):
        return Params()
    expiry = unix_time(_at(message, form.expiry))
    return Params(value=value) if expiry is None else Params(value=value, expires_at=expiry)


def _at(message: Any, path: Path) -> Any:
    for name in path:
        message = message.get(name) if isinstance(message, dict) else None
    return message
