"""Map unsuccessful responses and failed sends to exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    InternalServerException,
    OutcomeUnknownError,
    PluginError,
    ProviderUnavailableError,
    RedirectRefusedError,
    ResponseInvalidError,
    TemporarilyUnavailableError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway._secrets.redaction import printable, scrub
from grantway._transport.http import REFUSED
from grantway._transport.transient import failed_status, is_refused

from .error_codes import REGISTERED, error_class

if TYPE_CHECKING:
    from grantway._wire.provider_response import ProviderResponse, WireError

    from .exchange import Exchange

#: Classes that add no information to a 425, 429 or 503 status.
_TEMPORARY = (UnknownTokenError, TemporarilyUnavailableError)


class ErrorMapping:
    """Maps responses to exceptions.

    Args:
        more: Error code -> class, as registered by plugins.
    """

    def __init__(self, more: Mapping[str, type[TokenError]]) -> None:
        self._more = more

    def describe(self, exchange: Exchange, error: TransportError) -> None:
        """Add the evidence of the exchange to an error of the transport."""
        seen = error.evidence
        # The target of a redirect may contain sent values.
        error.message = scrub(error.message, exchange.secrets())
        error.args = (error.message,)
        if isinstance(error, RedirectRefusedError):
            error.location = scrub(error.location, exchange.secrets())
        error.evidence = replace(
            exchange.evidence(), status=seen.status, headers=exchange.shown(seen.headers)
        )

    def error_for(
        self, exchange: Exchange, response: ProviderResponse
    ) -> TransportError | TokenError:
        """Return the exception for a response with an error or a problem."""
        if response.error is not None:
            return self._provider_error(exchange, response, response.error)
        return _unusable(exchange, response, response.problem or "")

    def _provider_error(
        self, exchange: Exchange, response: ProviderResponse, error: WireError
    ) -> TransportError | TokenError:
        secrets = exchange.secrets()
        kind = error_class(error.code, self._more)
        # Do not redact a known code, even if a secret happens to be part of it.
        code = scrub(error.code, secrets) if kind is UnknownTokenError else error.code
        # If a header names the error, as at AWS, it is a real error code.
        named = exchange.dialect.error.header is not None
        if response.status in REFUSED and (
            kind in _TEMPORARY or (kind is InternalServerException and not named)
        ):
            return _unavailable(exchange, response, f"the error code is {printable(code)}")
        if failed_status(response.status) and kind is UnknownTokenError and not named:
            # Web frameworks use "error" for their own failures, which are not OAuth codes.
            return _unusable(exchange, response, f"the error code is {printable(code)}")
        description = scrub(error.description, secrets) if error.description else None
        where = f"{exchange.host} rejected the {exchange.step} request"
        words = f": {printable(description)}" if description and description != code else ""
        advice = f" ({REGISTERED[code]})" if code in REGISTERED else ""
        evidence = exchange.evidence(response)
        try:
            return kind(
                f"{where} with {printable(code)}{words}{advice}",
                error=code,
                error_description=description,
                error_uri=scrub(error.uri, secrets) if error.uri else None,
                reason=scrub(error.reason, secrets) if error.reason else None,
                evidence=evidence,
            )
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            raise PluginError(
                f"{where} with {printable(code)}, and the plugin's class for that code, "
                f"{kind.__module__}.{kind.__qualname__}, raised {type(raised).__name__}.",
                plugin=kind.__module__,
                evidence=evidence,
            ) from raised


def _unusable(exchange: Exchange, response: ProviderResponse, problem: str) -> TransportError:
    if is_refused(response.status, "", response.headers, response.members):
        return _unavailable(exchange, response, problem)
    shown = response.excerpt(exchange.secrets())
    quoted = f" The response begins: {shown}" if shown else ""
    if failed_status(response.status):
        return OutcomeUnknownError(
            f"{exchange.host} failed with status {response.status}: {problem}. It may have "
            f"processed the request; your refresh token is kept.{quoted}",
            excerpt=shown,
            evidence=exchange.evidence(response),
        )
    return ResponseInvalidError(
        f"{exchange.host} returned status {response.status} for the {exchange.step} request, but "
        f"{problem}. Check that the endpoint is right and that no proxy or login page "
        f"intercepts the request.{quoted}",
        excerpt=shown,
        evidence=exchange.evidence(response),
    )


def _unavailable(
    exchange: Exchange, response: ProviderResponse, problem: str
) -> ProviderUnavailableError:
    wait = response.retry_after
    when = f"in {wait:g} s" if wait is not None else "later"
    return ProviderUnavailableError(
        f"{exchange.host} rejected the {exchange.step} request with status {response.status} "
        f"({problem}) and did not process it. Try again {when}.",
        retry_after=wait,
        excerpt=response.excerpt(exchange.secrets()),
        evidence=exchange.evidence(response),
    )
