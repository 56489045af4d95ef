"""The protocol between grantway and a program: one JSON object in, one JSON object out.

``docs/reference/executables.md`` specifies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._secrets.excerpts import excerpt
from grantway._secrets.params import Params
from grantway._secrets.redaction import texts
from grantway._wire.response_body import lenient_decoder

from ._command import Command
from ._errors import shown_stderr
from ._failures import STATUSES, ending, failure_of, report_stderr
from ._process import Finished

#: The versions of the protocol that grantway speaks.
VERSIONS = (1,)
_NO_OBJECT = "printed no JSON object on stdout"
#: Braces that may begin no JSON object. More would take long: each is read up to the mistake.
_MOST_FAILURES = 100


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
            hidden += tuple(text for value in result.values() for text in texts(value))
            both = "reported an error beside the result" if message.get("error") else ""
            failure = ending(finished, hidden) or problem or both
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
    wanted = [each for each in found if _result(each, kind) is not None]
    if wanted or (found and text[0] != "<"):
        # A log message can contain such an object too, but without the version.
        last = max(enumerate(wanted or found), key=lambda each: ("version" in each[1], each[0]))
        problem = "" if alone else "printed other text beside the JSON object on stdout"
        if "\ufffd" in text:
            problem = "printed text on stdout that is not UTF-8"
        return last[1], problem
    if text[0] != "<":
        # Not quoted, because it could be the token.
        return None, _NO_OBJECT
    shown = excerpt(text.encode(), secrets)
    return None, f"printed HTML on stdout{f', which begins: {shown}' if shown else ''}"


def _objects(text: str) -> tuple[list[Params], bool]:
    """Return the JSON objects in a text, and whether one of them is the whole text."""
    found, alone, decoder, failures = list[Params](), False, lenient_decoder(), 0
    start = text.find("{")
    while start >= 0 and failures < _MOST_FAILURES:
        end = start + 1
        try:
            each, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            failures += 1
        else:
            found.append(Params(each))
            alone = start == 0 and end == len(text)
        start = text.find("{", end)
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
