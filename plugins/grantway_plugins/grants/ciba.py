"""CIBA in polling mode (OpenID Client-Initiated Backchannel Authentication Core 1.0).

The provider asks a person on a device of their own, such as a phone, and the client waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import (
    ConfigurationError,
    Evidence,
    FlowTimeoutError,
    RequestInvalidError,
    ResponseInvalidError,
)
from grantway._processes.copies import OneProcess, Value
from grantway._requests.client import Client
from grantway._types.grant import Grant, GrantSchema, Params, Replay, Scope, Text
from grantway._types.quantity import check_count
from grantway._types.token import Token
from grantway.hookspecs import hookimpl
from grantway_grants._login_parameters import login_parameters
from grantway_grants._polling import poll, polling_interval, seconds

GRANT_TYPE = "urn:openid:params:grant-type:ciba"

_STEP = "backchannel_authentication"
_HINTS = ("login_hint", "login_hint_token", "id_token_hint")


class CibaSchema(GrantSchema):
    """The ``auth_req_id`` that the provider answered the authentication request with."""

    auth_req_id = Text(required=True, example='"1c266114-a1be-4252-8ad1-04986c5b9ac1"')


CIBA = Grant(
    grant_type=GRANT_TYPE,
    schema=CibaSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"auth_req_id"}),
    single_use=frozenset({"auth_req_id"}),
    summary="A token once a person has approved on their own device (OpenID CIBA, polling)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring CIBA."""
    return [CIBA]


@dataclass(frozen=True, slots=True)
class BackchannelAuthentication(Value):
    """A request that the person is being asked about (CIBA Core section 7.3).

    Attributes:
        auth_req_id: For polling; a secret.
        expires_in: Seconds that the person has.
        interval: Least seconds between two polls.
        started_at: Monotonic time of the answer.
        parameters: The parameters of ``start`` that the token request repeats.
    """

    auth_req_id: str = field(repr=False)
    expires_in: float
    interval: float
    started_at: float = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=Params, repr=False)

    def remaining(self) -> float:
        """Seconds until the request expires; zero or less when it has."""
        return self.started_at + self.expires_in - time.monotonic()


class CibaFlow(OneProcess):
    """A login on the person's own device: ask the provider to ask them, wait for the token.

    ::

        flow = CibaFlow(client, scope=["openid"])
        asked = flow.start(login_hint="user@example.com", binding_message="W4SCT")
        token = flow.wait(asked)

    Args:
        client: Who asks; its provider needs a ``backchannel_authentication_endpoint``.
        scope: Scope names to ask for.
        pause: Waits so many seconds between polls; by default real time, cut short by ``cancel``.
    """

    stays = "it holds a client; make one in the process that uses it"

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str = ("openid",),
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._scope = Scope().names(scope)
        self._pause = pause

    def start(
        self,
        *,
        login_hint: str | None = None,
        login_hint_token: str | None = None,
        id_token_hint: str | None = None,
        binding_message: str | None = None,
        user_code: str | None = None,
        requested_expiry: int | None = None,
        extra: Mapping[str, Any] | None = None,
        resource: str | Sequence[str] | None = None,
        cancel: threading.Event | None = None,
    ) -> BackchannelAuthentication:
        """Have the person asked (CIBA Core section 7.1). One hint says who that is.

        Args:
            login_hint: A name, address or number that the provider knows them by.
            login_hint_token: A token that says who they are.
            id_token_hint: An ID token of theirs.
            binding_message: What both this program and their device show, so that they know what
                they approve.
            user_code: What only they know, where the provider wants it; a secret.
            requested_expiry: Seconds that they should have.
            extra: Provider-specific parameters, sent with this request and the token requests.
                Those that only this request knows, such as ``acr_values``, are not sent to the
                token endpoint.
            resource: The APIs that the token is for (RFC 8707), sent with both requests.
            cancel: Ends waits between attempts at once when it is set.

        Raises:
            RequestInvalidError: there is no hint, or more than one; nothing was sent.
            TokenError: the provider refused, such as for ``unknown_user_id``.
            ResponseInvalidError: the answer lacks ``auth_req_id`` or ``expires_in``.
        """
        if requested_expiry is not None:
            check_count("requested_expiry", requested_expiry)
        fields: dict[str, Any] = {
            "login_hint": login_hint,
            "login_hint_token": login_hint_token,
            "id_token_hint": id_token_hint,
            "binding_message": binding_message,
            "user_code": user_code,
            "requested_expiry": requested_expiry,
        }
        _check_hints(fields)
        if taken := sorted({*fields, "scope"} & set(extra or ())):
            raise ConfigurationError(f"extra: {', '.join(taken)} cannot be given here.")
        parameters = login_parameters(self._client, GRANT_TYPE, extra=extra, resource=resource)
        answer = self._client.call(
            _STEP, cancel=cancel, scope=self._scope, extra=parameters.beginning, **fields
        )
        auth_req_id = answer.get("auth_req_id")
        lifetime = seconds(answer.get("expires_in"))
        if not isinstance(auth_req_id, str) or not auth_req_id or lifetime is None:
            raise ResponseInvalidError(
                f"{self._client.provider.host} took the request without an auth_req_id and an "
                "expires_in to wait with (CIBA Core section 7.3).",
                evidence=Evidence(provider=self._client.provider.host, step=_STEP),
            )
        return BackchannelAuthentication(
            auth_req_id=auth_req_id,
            expires_in=lifetime,
            interval=polling_interval(answer.get("interval")),
            started_at=time.monotonic(),
            parameters=parameters.token,
        )

    def wait(
        self,
        authentication: BackchannelAuthentication,
        *,
        cancel: threading.Event | None = None,
        on_poll: Callable[[str], None] | None = None,
    ) -> Token:
        """Poll until the person has decided (CIBA Core section 10.1).

        Args:
            authentication: What ``start`` gave.
            cancel: Ends the wait at once when it is set.
            on_poll: Told the outcome of each poll: ``authorization_pending``, ``slow_down``,
                or the code of a failure that may pass, such as ``outcome_unknown``.

        Raises:
            AccessDeniedException: the person said no.
            ExpiredTokenException: the provider says that the request has expired.
            FlowTimeoutError: it expired without a decision; names the failure of the last
                poll, if any.
            FlowCancelledError: ``cancel`` was set.
        """

        def ask() -> Token:
            return self._client.create_token(
                grant_type=GRANT_TYPE,
                auth_req_id=authentication.auth_req_id,
                extra=authentication.parameters or None,
                cancel=cancel,
                attempts=1,  # a poll is repeated by the flow, which knows the interval
            )

        def too_late() -> FlowTimeoutError:
            return FlowTimeoutError(
                f"The person did not answer within {authentication.expires_in:g} s; ask again.",
                evidence=Evidence(provider=self._client.provider.host, grant_type=GRANT_TYPE),
            )

        return poll(
            ask,
            interval=authentication.interval,
            remaining=authentication.remaining,
            too_late=too_late,
            pause=self._pause,
            cancel=cancel,
            on_poll=on_poll,
        )


def _check_hints(fields: Mapping[str, Any]) -> None:
    given = [name for name in _HINTS if fields[name] is not None]
    if len(given) == 1:
        return
    wrong = f"{' and '.join(given)} were given" if given else "none was"
    raise RequestInvalidError(
        f"Nothing was sent: one of {', '.join(_HINTS)} says who is asked, and {wrong}.",
        errors={name: ["exactly one of the hints is needed"] for name in given or _HINTS},
        evidence=Evidence(grant_type=GRANT_TYPE, step=_STEP),
    )
