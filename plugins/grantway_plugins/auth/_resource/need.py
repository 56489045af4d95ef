"""Why a token is needed, and the requirements that it must meet."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._types.token import Token

if TYPE_CHECKING:
    from grantway_plugins.auth._step_up import StepUpChallenge


class Reason(enum.Enum):
    """Why a token is needed."""

    #: There is no valid token in this process.
    NO_TOKEN = "no_token"
    #: The first request is sent without a token if no user has ever logged in.
    FIRST_REQUEST = "first_request"
    #: The resource rejected a token and its replacement, so its issuer may have changed.
    REJECTED = "rejected"
    #: The resource requires more scope or another login.
    STEP_UP = "step_up"
    #: The program wants to log in even if there is a token.
    LOG_IN = "log_in"


@dataclass(frozen=True, slots=True)
class Need:
    """Why a token is needed, and the requirements that it must meet.

    Attributes:
        reason: Why a token is needed.
        presented: Access tokens that the resource rejected.
        scope: The scope that the resource requires.
        acr_values: The authentication context classes that the resource requires.
        max_age: The maximum age of the login in seconds, or None.
        failure: Error of the last request to the provider, or None.
        failed_client: The ``client_id`` of that request, or None.
    """

    reason: Reason = Reason.NO_TOKEN
    presented: tuple[str, ...] = field(default=(), repr=False)
    scope: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    failure: Exception | None = None
    failed_client: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for needs that one login meets."""
        return self.reason, requirements_of(self)

    @property
    def exact_key(self) -> tuple[object, ...]:
        """Equal for needs with the same rejected tokens. It does not show them in tracebacks."""
        digests = (hashlib.sha256(each.encode()).digest() for each in self.presented)
        return *self.key, frozenset(digests)

    def met_by(self, token: Token) -> bool:
        """Return whether a token may meet the need."""
        if self.reason is Reason.LOG_IN or token.access_token in self.presented:
            return False
        if self.reason is not Reason.STEP_UP:
            return True
        # After a second challenge only a login helps, unless the token says that it has the scope.
        if token.scope is None or not self.scope:
            return len(self.presented) <= 1
        return set(self.scope) <= set(token.scope)

    @property
    def extra(self) -> dict[str, Any]:
        """Parameters of the login (RFC 9470 section 4)."""
        given: dict[str, Any] = {}
        if self.acr_values:
            given["acr_values"] = " ".join(self.acr_values)
        if self.max_age is not None:
            given["max_age"] = self.max_age
        return given


def requirements_of(need: Need | StepUpChallenge) -> tuple[object, ...]:
    """Return the scope and the kind of login that a resource requires, as a key."""
    return frozenset(need.scope), need.acr_values, need.max_age
