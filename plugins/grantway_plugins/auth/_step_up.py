"""Challenges that require more scope (RFC 6750) or another login (RFC 9470)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grantway._exceptions import Evidence, GrantwayError
from grantway._processes.copies import Value
from grantway._secrets.redaction import printable, scrub, visible
from grantway._types.callables import kind_of
from grantway._types.token import Token
from grantway._wire.challenges import parse_challenges

from ._origin import invalid

if TYPE_CHECKING:
    from ._bearer import TokenSource
    from ._step_up_tokens import StepUpTokens

INSUFFICIENT_SCOPE = "insufficient_scope"
INSUFFICIENT_LOGIN = "insufficient_user_authentication"
_STATUSES = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class StepUpChallenge(Value):
    """The requirements of a resource that the presented token does not meet.

    The texts are the resource's. Do not send a user to an authorization server that only
    ``resource_metadata`` names, unless you trust the resource.

    Attributes:
        error: ``insufficient_scope`` (RFC 6750 section 3.1) or
            ``insufficient_user_authentication`` (RFC 9470 section 3).
        scope: The required scope, in order; empty if not stated.
        acr_values: The required authentication context classes, the preferred first; empty if not
            stated.
        max_age: The maximum age of the user's login in seconds, or None if not stated.
        realm: The realm, or None.
        error_description: An explanation for developers, or None.
        resource_metadata: URL of the resource's metadata (RFC 9728 section 5.1), or None.
    """

    error: str
    scope: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    realm: str | None = None
    error_description: str | None = None
    resource_metadata: str | None = None

    def __str__(self) -> str:
        """Return the requirements as words for a message."""
        wanted = []
        if self.scope:
            wanted.append(f"the scope {' '.join(self.scope)!r}")
        elif self.error == INSUFFICIENT_SCOPE:
            wanted.append("more scope")
        if self.acr_values:
            wanted.append(f"a login with one of the acr_values {' '.join(self.acr_values)!r}")
        if self.max_age is not None:
            wanted.append(f"a login at most {self.max_age} s old")
        return printable(" and ".join(wanted)) or "a stronger or newer login"


#: Called with the challenge; returns the token for one retry, or None to get the response.
OnStepUp = Callable[[StepUpChallenge], Token | Awaitable[Token | None] | None]


class StepUpRequiredError(GrantwayError):
    """A resource requires more scope or another login. The request was not repeated.

    Attributes:
        challenge: The requirements of the resource.
        response: The response, an object of the HTTP library; None after pickling. Its body was
            read if it is short.
    """

    code = "step_up_required"

    def __init__(
        self,
        message: str,
        *,
        challenge: StepUpChallenge | None = None,
        response: Any = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.challenge = challenge or StepUpChallenge(INSUFFICIENT_SCOPE)
        self.response = response

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error without the response, which holds the token."""
        rebuild, (kind, args, state) = super().__reduce__()
        return (rebuild, (kind, args, {**state, "response": None}))


def step_up_tokens(
    source: TokenSource, on_step_up: OnStepUp | None, timeout: float | None
) -> StepUpTokens | None:
    """Return the tokens of a callback, or None without one.

    Args:
        source: Source of tokens.
        on_step_up: The callback.
        timeout: Maximum seconds to wait for a token of the source, or None for its limit.

    Raises:
        ConfigurationError: The callback is not a function.
    """
    if on_step_up is None:
        return None
    if not callable(on_step_up):
        raise invalid("on_step_up", f"must be a function, or None, not {kind_of(on_step_up)}.")
    from ._step_up_tokens import StepUpTokens  # noqa: PLC0415 - imports asyncio

    return StepUpTokens(source, on_step_up, timeout)


def step_up_of(
    status: int, challenges: str, schemes: Collection[str], secrets: Iterable[str] = ()
) -> StepUpChallenge | None:
    """Return the requirements of a resource, or None if it did not state any.

    Args:
        status: Status code of the response.
        challenges: Value of ``WWW-Authenticate``. Repeated headers are joined by commas.
        schemes: The schemes to look for, in lower case.
        secrets: Values that were sent, to be masked if the resource repeats them.
    """
    if status not in _STATUSES or "insufficient_" not in challenges:
        return None
    for challenge in parse_challenges(challenges):
        if challenge.scheme in schemes and challenge.parameters.get("error") in (
            INSUFFICIENT_SCOPE,
            INSUFFICIENT_LOGIN,
        ):
            return _step_up(challenge.parameters, tuple(secrets))
    return None


def _step_up(parameters: Mapping[str, str], secrets: tuple[str, ...]) -> StepUpChallenge:
    shown = {name: visible(scrub(value, secrets)) for name, value in parameters.items()}
    age = shown.get("max_age", "")
    return StepUpChallenge(
        shown["error"],
        scope=tuple(shown.get("scope", "").split()),
        acr_values=tuple(shown.get("acr_values", "").split()),
        # A longer number than any age is not one.
        max_age=int(age) if age.isascii() and age.isdecimal() and len(age) <= 10 else None,  # noqa: PLR2004
        realm=shown.get("realm"),
        error_description=shown.get("error_description"),
        resource_metadata=shown.get("resource_metadata"),
    )
