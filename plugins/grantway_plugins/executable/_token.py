"""A client whose tokens come from a program instead of a token endpoint."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    GrantwayError,
    ProviderUnavailableError,
    ResponseInvalidError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._requests.retry import RetryPolicy
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway._secrets.redaction import printable, scrub
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.fields import GrantSchema
from grantway._types.grant import Grant
from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape

from ._command import Command
from ._errors import ExecutableError, secret_values
from ._failures import LOGIN_NEEDED, RETRY_LATER, asks_for_retry, login_needed, retry_after
from ._formats import read_format
from ._outputs import PROTOCOL
from ._protocol import ask
from ._times import unix_time

if TYPE_CHECKING:
    from grantway._plugins.registry import Registry
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Middleware
    from grantway._transport.deadline import Deadline
    from grantway._types.secret_source import SecretSource
    from grantway._wire.provider_response import ProviderResponse

#: Seconds of a call besides those of the program.
MARGIN = 5.0
#: Header that tells the middleware how a program failed after it had printed a token.
_FAILURE = "grantway-program-failure"
_NOT_IN_HOSTS = re.compile(r"[^A-Za-z0-9.-]+")
_OK, _FAILED, _BUSY = 200, 400, 503

#: Requests are JSON, so that parameters need no second encoding for the program.
DIALECT = Dialect(
    name="executable",
    request=RequestShape(encoding="json", client_auth="client_secret_post"),
    error=ErrorShape(description_at=(("error_description",),)),
)


class ExecutableTransport(OneProcess):
    """Sends token requests to a program.

    Args:
        command: The program.

    Attributes:
        attempt_seconds: Longest duration of one send.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self.attempt_seconds = command.timeout

    @hides_arguments
    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Run the program with the parameters of a token request.

        Raises:
            ConfigurationError: The program cannot be run; nothing was sent.
            ConnectionFailedError: The system could not start a program; nothing was sent.
            ExecutableError: The program gave no usable reply.
            LoginNeededError: The program needs the user to log in.
        """
        params = Params(json.loads(request.body))
        secrets = secret_values(params)
        timeout = deadline.remaining()
        if self._command.output != PROTOCOL:
            found = read_format(self._command, secrets, timeout)
            return self._success(Params(found, access_token=found.pop("value")))
        reply = ask(self._command, "token", {"parameters": params}, secrets, timeout)
        if reply.error is None:
            return self._success(reply.result or Params(), reply.failure)
        for name in ("error", "error_description"):
            if isinstance(said := reply.error.get(name), str):
                reply.error[name] = scrub(said, secrets)
        if reply.error["error"] == LOGIN_NEEDED:
            raise login_needed(self._command, reply.error, secrets)
        if reply.error["error"] == RETRY_LATER:
            wait = retry_after(reply.error)
            headers = {} if wait is None else {"retry-after": str(math.ceil(wait))}
            busy = {**reply.error, "error": "temporarily_unavailable"}
            return HttpResponse(_BUSY, headers, json.dumps(busy).encode())
        return HttpResponse(_FAILED, {}, json.dumps(reply.error).encode())

    def _success(self, token: Params, failure: str = "") -> HttpResponse:
        """Return a token response, whose lifetime is relative like that of every response."""
        if (end := unix_time(token.get("expires_at"))) is not None:
            del token["expires_at"]
            token["expires_in"] = max(0, int(end - time.time()))
        elif token.get("expires_in") is None and self._command.lifetime is not None:
            token["expires_in"] = self._command.lifetime
        headers = {_FAILURE: failure} if failure else {}
        return HttpResponse(_OK, headers, json.dumps(token).encode())

    def close(self) -> None:
        """Do nothing: programs run during a send only."""


def report_failure_of(command: Command) -> Middleware:
    """Return middleware that raises if the program failed after it had printed a token.

    The token is stored first, like any token that comes with an error.
    """

    def report_failure(
        exchange: Exchange,
    ) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
        try:
            response = yield exchange
        except ExecutableError:
            raise
        except ProviderUnavailableError as error:
            said = printable(str(error.members.get("error_description") or ""))
            message = asks_for_retry(command, error.retry_after)
            _reword(error, f"{message}{said and f': {said}'}.")
            raise
        except ResponseInvalidError as error:
            _reword(
                error,
                f"{command.where} printed a token that cannot be used. "
                'Its "access_token" must be a text that is not empty; correct the program.',
            )
            raise
        if failure := response.headers.get(_FAILURE):
            raise ExecutableError(
                f"{command.where} printed a token and then failed: it "
                f"{failure}. The token is kept: a credential has stored it and returns it to the "
                "next call, and this error has it as token. Correct the program.",
                program=command.command[0],
                setting=command.setting,
                evidence=exchange.evidence(response),
            )
        return response

    return report_failure


def _reword(error: GrantwayError, message: str) -> None:
    error.message, error.args = message, (message,)


@hides_arguments
def executable_client(
    command: Command,
    *,
    client_id: str = "grantway",
    client_secret: str | SecretSource | None = None,
    grants: Iterable[str] = (),
    registry: Registry | None = None,
    retry: RetryPolicy | None = None,
) -> Client:
    """Return a client whose token requests are sent to a program.

    The program gets the checked parameters of a grant and performs the exchange. Everything else is
    as for any client: credentials store, share and refresh its tokens, and a refresh token that it
    returns is passed to it again with the grant_type ``refresh_token``. Errors that it reports
    become the exceptions of their codes.

    Args:
        command: The program.
        client_id: The client's identifier, which the program gets.
        client_secret: A secret that the program gets on its standard input, a source of it, or
            None.
        grants: Grant types that no plugin registers. Pass their parameters in ``extra``.
        registry: Provides the other grants; by default the registry of the process.
        retry: When to run the program again after it asked for it.

    Raises:
        ConfigurationError: An argument is invalid.
    """
    return Client(
        provider_of(command),
        client_id=client_id,
        client_secret=client_secret,
        registry=registry,
        grants=[Grant(grant_type=each, schema=GrantSchema()) for each in grants],
        middleware=[report_failure_of(command)],
        transport=ExecutableTransport(command),
        retry=retry,
        timeout=command.timeout + MARGIN,
    )


def provider_of(command: Command) -> Provider:
    """Return a provider that identifies the program: its host is the name, in messages.

    Credentials derive the name of a stored token from the provider, so the path contains a hash of
    the command. Nothing is sent to this address.
    """
    name = _NOT_IN_HOSTS.sub("-", command.name).strip("-.") or "program"
    facts: Mapping[str, Any] = {"command": command.command, "folder": str(command.folder or "")}
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return Provider(f"https://{name}/{digest[:32]}", dialect=DIALECT)
