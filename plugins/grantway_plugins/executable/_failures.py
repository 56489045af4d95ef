"""The exceptions for what programs report and for how they fail."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from grantway._exceptions import GrantwayError, LoginNeededError, ProviderUnavailableError
from grantway._log import logger
from grantway._requests.error_codes import error_class
from grantway._secrets.redaction import printable, scrub
from grantway._types.quantity import finite

from ._command import Command
from ._errors import ExecutableError, shown_stderr
from ._process import Finished

#: Error codes besides those of OAuth.
LOGIN_NEEDED, RETRY_LATER = "login_needed", "retry_later"
#: Exit statuses that stand for an error: EX_TEMPFAIL and EX_NOPERM of ``sysexits.h``.
STATUSES = {75: RETRY_LATER, 77: LOGIN_NEEDED}


def failure_of(
    command: Command, finished: Finished, problem: str, secrets: Iterable[str]
) -> ExecutableError:
    """Return the error for a program without a usable reply."""
    said = shown_stderr(finished.stderr, secrets)
    words = ending(finished, secrets) or problem + _stderr(said)
    return error_of(command, words, said, None if finished.ended else finished.status)


def error_of(
    command: Command, message: str, stderr: str = "", exit_status: int | None = 0
) -> ExecutableError:
    """Return an error about a program, with its setting and a remedy."""
    return ExecutableError(
        f"{command.where} {message}. Run the program by hand to see why, "
        "or correct the setting; the reference of executables says what a program must print.",
        program=command.command[0],
        setting=command.setting,
        exit_status=exit_status,
        stderr=stderr,
    )


def ending(finished: Finished, secrets: Iterable[str]) -> str:
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
    seconds = finite(error.get("retry_after"))
    return seconds if seconds is not None and seconds >= 0 else None


def asks_for_retry(command: Command, wait: float | None) -> str:
    """Return the message for a program that asks to be run again."""
    return f"{command.where} asks to try again {'later' if wait is None else f'in {wait:g} s'}"


def login_needed(
    command: Command, error: Mapping[str, Any], secrets: Iterable[str]
) -> GrantwayError:
    """Return the error for a program that needs the user to log in."""
    return LoginNeededError(
        f"{command.where} needs a login"
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
    if code == RETRY_LATER:
        wait = retry_after(error)
        raise ProviderUnavailableError(asks_for_retry(command, wait) + said, retry_after=wait)
    shown = printable(scrub(code, secrets))
    raise error_class(code, {})(
        f"{command.where} failed with {shown}{said}",
        error=shown,
        error_description=said[2:] or None,
    )


def _description(error: Mapping[str, Any], secrets: Iterable[str]) -> str:
    said = error.get("error_description")
    return f": {printable(scrub(said, secrets))}" if isinstance(said, str) and said else ""
