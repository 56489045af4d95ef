"""The protocol between grantway and a program: one JSON object in, one JSON object out.

``docs/reference/executables.md`` specifies it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from grantway._exceptions import (
    GrantwayError,
    LoginNeededError,
    ProviderUnavailableError,
)
from grantway._log import logger
from grantway._requests.error_codes import error_class
from grantway._secrets.params import Params
from grantway._secrets.redaction import excerpt, printable, scrub

from ._command import Command
from ._errors import ExecutableError, shown_stderr
from ._process import Finished

#: The versions of the protocol that grantway speaks.
VERSIONS = (1,)
#: Error codes besides those of OAuth.
LOGIN_NEEDED, RETRY_LATER = "login_needed", "retry_later"
_NO_OBJECT = "printed no JSON object on stdout"
#: The start of a JSON object at the start of a line.
_LINE = re.compile(r"^\{", re.MULTILINE)
#: Exit statuses that stand for an error: EX_TEMPFAIL and EX_NOPERM of ``sysexits.h``.
STATUSES = {75: RETRY_LATER, 77: LOGIN_NEEDED}


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a program.

    Attributes:
        result: The requested object, or None if the program reported an error.
        error: The members of the error, by their names of RFC 6749, or None.
        failure: How the program failed after it had printed a result, or empty.
    """

    result: Params | None = field(default=None, repr=False)
    error: Params | None = field(default=None, repr=False)
    failure: str = ""


def ask(
    command: Command,
    kind: str,
    request: Mapping[str, Any],
    secrets: Iterable[str] = (),
    timeout: float | None = None,
) -> Reply:
    """Run a program with a request, and return its reply.

    Args:
        command: The program.
        kind: The kind of request, which is also the member of the reply that has the result:
            ``token``, ``parameters`` or ``secret``.
        request: The members of the request.
        secrets: The secrets in the request, for redaction.
        timeout: Seconds, if less than the program's own limit.

    Raises:
        ExecutableError: The program gave no usable reply.
        ConfigurationError: The program cannot be run.
        ConnectionFailedError: The system could not start a program.
    """
    finished = command.run({"versions": VERSIONS, "request": kind, **request}, timeout=timeout)
    hidden = tuple(secrets)
    message, problem = read_object(finished, hidden, kind)
    if message is not None:
        problem = problem or _version_problem(message)
        if (result := _result(message, kind)) is not None:
            hidden += tuple(value for value in result.values() if isinstance(value, str))
            both = "reported an error beside the result" if message.get("error") else ""
            failure = _ending(finished, hidden) or problem or both
            if not failure:
                report_stderr(command, finished, hidden)
            return Reply(result=result, failure=failure)
        problem = problem or _content_problem(message, kind)
    elif problem == _NO_OBJECT:
        problem += '; if it prints the secret itself, set output to "text"'
    if message is None or problem:
        if code := STATUSES.get(finished.status):
            said = shown_stderr(finished.stderr, hidden)
            return Reply(error=Params(error=code, error_description=said))
        raise failure_of(command, finished, problem, hidden)
    report_stderr(command, finished, hidden)
    return Reply(error=Params({name: each for name, each in message.items() if name != "version"}))


def _result(message: Mapping[str, Any], kind: str) -> Params | None:
    """Return the result in a message, or None; a token even if it is in the wrong place."""
    found = message.get(kind)
    if kind != "token":
        return Params(found) if isinstance(found, dict) else None
    for each in (found, message):
        if isinstance(each, dict) and (each.get("access_token") or each.get("refresh_token")):
            return Params(each)
    return None


def read_object(
    finished: Finished, secrets: Iterable[str], kind: str = ""
) -> tuple[Params | None, str]:
    """Return the JSON object that a program printed, and what is wrong with its output.

    An object among other text is returned too, because it may contain the only valid token.

    Args:
        finished: The program.
        secrets: Secrets to remove from messages.
        kind: The requested object.
    """
    text = finished.stdout.decode("utf-8", "replace").strip().lstrip("\ufeff")
    if not text:
        return None, "printed nothing on stdout"
    found, alone = _objects(text)
    if found:
        wanted = [each for each in found if _result(each, kind) is not None]
        problem = "" if alone else "printed other text beside the JSON object on stdout"
        if "\ufffd" in text:
            problem = "printed text on stdout that is not UTF-8"
        return (wanted or found)[-1], problem
    if text[0] != "<":
        # Not quoted, because it could be the token.
        return None, _NO_OBJECT
    shown = excerpt(text.encode(), secrets)
    return None, f"printed HTML on stdout{f', which begins: {shown}' if shown else ''}"


def _objects(text: str) -> tuple[list[Params], bool]:
    """Return the JSON objects that begin a line, and whether one of them is the whole text."""
    found, alone, end, decoder = list[Params](), False, 0, json.JSONDecoder()
    for start in (each.start() for each in _LINE.finditer(text)):
        if start < end:
            continue  # within the previous object
        try:
            each, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        found.append(Params(each))
        alone = start == 0 and end == len(text)
    return found, alone


def _version_problem(message: Mapping[str, Any]) -> str:
    version = message.get("version")
    own = ", ".join(map(str, VERSIONS))
    if isinstance(version, int) and not isinstance(version, bool):
        if version in VERSIONS:
            return ""
        return (
            f"replied in version {version} of the protocol, and grantway speaks version {own}; "
            "update the older of the two"
        )
    return f'replied without a version of the protocol; add "version": {own} to the JSON object'


def _content_problem(message: Mapping[str, Any], kind: str) -> str:
    error = message.get("error")
    if error is None:
        member = ' with an "access_token"' if kind == "token" else ""
        return f'replied without a JSON object "{kind}"{member} and without "error"'
    return "" if isinstance(error, str) and error else 'replied with an "error" that is no text'


def failure_of(
    command: Command, finished: Finished, problem: str, secrets: Iterable[str]
) -> ExecutableError:
    """Return the error for a program without a usable reply."""
    said = shown_stderr(finished.stderr, secrets)
    words = _ending(finished, secrets) or problem + _stderr(said)
    return error_of(command, words, said, None if finished.ended else finished.status)


def error_of(
    command: Command, message: str, stderr: str = "", exit_status: int | None = 0
) -> ExecutableError:
    """Return an error about a program, with its setting and a remedy."""
    return ExecutableError(
        f"{command.setting}: {command.command[0]} {message}. Run the program by hand to see why, "
        "or correct the setting; the reference of executables says what a program must print.",
        program=command.command[0],
        setting=command.setting,
        exit_status=exit_status,
        stderr=stderr,
    )


def _ending(finished: Finished, secrets: Iterable[str]) -> str:
    """Describe how a program failed; empty if it did not."""
    if finished.status == 0 and not finished.ended:
        return ""
    if finished.ended:
        words = finished.ended
    elif finished.status < 0:
        words = f"was ended by signal {_signal(-finished.status)}"
    else:
        words = f"exited with status {finished.status}"
    return words + _stderr(shown_stderr(finished.stderr, secrets))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _stderr(said: str) -> str:
    return f", and wrote to stderr: {said}" if said else ""


def report_stderr(command: Command, finished: Finished, secrets: Iterable[str]) -> None:
    """Log what a successful program wrote to stderr, such as a warning for the user."""
    if said := shown_stderr(finished.stderr, secrets):
        logger.warning("%s (%s) wrote to stderr: %s", command.command[0], command.setting, said)


def retry_after(error: Mapping[str, Any]) -> float | None:
    """Return the seconds after which the program may be run again, or None."""
    seconds = number(error.get("retry_after"))
    return seconds if seconds is not None and seconds >= 0 else None


def login_needed(
    command: Command, error: Mapping[str, Any], secrets: Iterable[str]
) -> GrantwayError:
    """Return the error for a program that needs the user to log in."""
    return LoginNeededError(
        f"{command.setting}: {command.command[0]} needs a login"
        f"{_description(error, secrets) or '; log in with the program itself'}"
    )


def raise_error(command: Command, error: Mapping[str, Any], secrets: Iterable[str]) -> NoReturn:
    """Raise the exception of an error that a program reported.

    Raises:
        LoginNeededError: The code is ``login_needed``.
        ProviderUnavailableError: The code is ``retry_later``.
        TokenError: Any other code.
    """
    code, said = str(error["error"]), _description(error, secrets)
    if code == LOGIN_NEEDED:
        raise login_needed(command, error, secrets)
    where = f"{command.setting}: {command.command[0]}"
    if code == RETRY_LATER:
        wait = retry_after(error)
        when = "later" if wait is None else f"in {wait:g} s"
        raise ProviderUnavailableError(f"{where} asks to try again {when}{said}", retry_after=wait)
    shown = printable(scrub(code, secrets))
    raise error_class(code, {})(
        f"{where} failed with {shown}{said}", error=shown, error_description=said[2:] or None
    )


def _description(error: Mapping[str, Any], secrets: Iterable[str]) -> str:
    said = error.get("error_description")
    return f": {printable(scrub(said, secrets))}" if isinstance(said, str) and said else ""


def unix_time(value: Any) -> float | None:
    """Return a Unix time from a number or RFC 3339 text; None for anything else."""
    if (seconds := number(value)) is not None:
        return seconds
    try:
        found = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    # RFC 3339 requires a time zone.
    return found.timestamp() if found.tzinfo is not None else None


def number(value: Any) -> float | None:
    """Return a finite number of a reply, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None
