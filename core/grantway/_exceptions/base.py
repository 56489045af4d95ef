"""The base of every error, and the evidence that an error carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from grantway._processes.copies import Value
from grantway._secrets.error_members import Members

if TYPE_CHECKING:
    from grantway._types.token import Token


class Attempt(NamedTuple):
    """One send of a call.

    Attributes:
        outcome: ``final``, ``never_sent``, ``refused`` or ``unknown``.
        reason: The error's ``code``, or ``status 503``.
        status: HTTP status, or None without a response.
        milliseconds: Duration of the send.
        wait: Seconds until the next send, or None for the last.
    """

    outcome: str
    reason: str
    status: int | None
    milliseconds: float
    wait: float | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evidence(Value):
    """Facts about a failed call. The repr shows no secret.

    Attributes:
        status: HTTP status of the last response, or None without one.
        request_id: The provider's request identifier, for its support.
        provider: The provider's host.
        grant_type: The grant type, or None for other endpoints.
        step: The endpoint: ``token``, ``device_authorization``, ...
        attempts: Number of attempts.
        headers: Response headers, lower-case names, without those that may hold a secret.
        history: The attempts in order, if there were several or the only one failed.
        members: The members of the decoded error response, with RFC names at the top level; empty
            without one. A value may be a secret; see ``GrantwayError.members``.
    """

    status: int | None = None
    request_id: str | None = None
    provider: str | None = None
    grant_type: str | None = None
    step: str = "token"
    attempts: int = 1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    history: tuple[Attempt, ...] = ()
    members: Mapping[str, Any] = field(default_factory=Members, repr=False)


class GrantwayError(Exception):
    """The base class of all errors that grantway raises on purpose.

    Attributes:
        code: A stable identifier for programs; never changes between versions.
        message: What happened and what to do, for humans.
        evidence: Facts about the call.
        token: A token that arrived before the call failed, or None. A credential has stored it;
            any other caller should store it, because its refresh token may be the only valid one.
            Its ``access_token`` is empty if the provider sent a refresh token alone.
    """

    code: str = "grantway_error"
    token: Token | None = None

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the decoded error response, such as ``mfa_token`` or ``interval``.

        Empty if the error came without a response that could be decoded. Its ``repr`` shows names
        only, because a value may be a secret; secrets that the request sent are cut out. Error
        classes of plugins read it too, in ``__init__`` as ``evidence.members``.
        """
        return self.evidence.members

    def __init__(self, message: str, *, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence or Evidence()

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments need this to be pickled, as process pools do.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    kind: type[GrantwayError], args: tuple[Any, ...], state: dict[str, Any]
) -> GrantwayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
