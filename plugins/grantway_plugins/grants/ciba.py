"""CIBA in polling mode (OpenID Client-Initiated Backchannel Authentication Core 1.0).

The provider asks the user on another device, such as a phone, while the client polls.
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
from grantway._secrets.params import Params
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.quantity import check_count
from grantway._types.token import Token
from grantway.hookspecs import hookimpl
from grantway_grants._flow import EndpointCall, Flow, TokenCall, run, run_async
from grantway_grants._login_parameters import login_parameters
from grantway_grants._polling import poll, polling_interval, seconds

GRANT_TYPE = "urn:openid:params:grant-type:ciba"

_STEP = "backchannel_authentication"
_HINTS = ("login_hint", "login_hint_token", "id_token_hint")


class CibaSchema(GrantSchema):
    """The parameter ``auth_req_id``, from the response to the authentication request."""

    auth_req_id = Text(required=True, example='"1c266114-a1be-4252-8ad1-04986c5b9ac1"')


CIBA = Grant(
    grant_type=GRANT_TYPE,
    schema=CibaSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"auth_req_id"}),
    single_use=frozenset({"auth_req_id"}),
    summary="A token after the user has approved on another device (OpenID CIBA, polling)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the CIBA grant."""
    return [CIBA]


@dataclass(frozen=True, slots=True)
class BackchannelAuthentication(Value):
    """A pending authentication request (CIBA Core section 7.3).

    Attributes:
        auth_req_id: Identifier for polling; a secret.
        expires_in: Lifetime of the request in seconds.
        interval: Minimum seconds between two polls.
        started_at: Monotonic time of the response.
        parameters: Parameters of ``start`` to repeat in the token request.
    """

    auth_req_id: str = field(repr=False)
    expires_in: float
    interval: float
    started_at: float = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=Params, repr=False)

    def remaining(self) -> float:
        """Return the seconds until the request expires; zero or less once it has expired."""
        return self.started_at + self.expires_in - time.monotonic()


class CibaFlow(OneProcess):
    """A login on another device of the user, started and polled by the client.

    ::

        flow = CibaFlow(client, scope=["openid"])
        pending = flow.start(login_hint="user@example.com", binding_message="W4SCT")
        token = flow.wait(pending)

    In an event loop, await ``start_async`` and ``wait_async``.

    Args:
        client: The client. Its provider needs a ``backchannel_authentication_endpoint``.
        scope: Scope names to request.
        pause: Function that waits the given number of seconds between polls. By default it waits
            in real time until ``cancel`` is set. For ``wait_async``, it may be asynchronous.
    """

    stays = "it holds a client; create one in the process that uses it"

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str = ("openid",),
        pause: Callable[[float], object] | None = None,
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
        """Send the authentication request (CIBA Core section 7.1). Exactly one hint is required.

        Args:
            login_hint: Name, email address or phone number of the user at the provider.
            login_hint_token: Token that identifies the user.
            id_token_hint: ID token of the user.
            binding_message: Message shown by this program and by the user's device, so that the
                user can tell which login they approve.
            user_code: Secret code of the user, if the provider requires one.
            requested_expiry: Requested lifetime of the request in seconds.
            extra: Provider-specific parameters, sent with this request and the token requests.
                Parameters that only this request defines, such as ``acr_values``, are not sent to
                the token endpoint.
            resource: URIs of the APIs that the token is for (RFC 8707), sent with both requests.
            cancel: Setting it ends waits between attempts.

        Raises:
            RequestInvalidError: No hint or several hints were given; nothing was sent.
            TokenError: The provider rejected the request, for example with ``unknown_user_id``.
            ResponseInvalidError: The response lacks ``auth_req_id`` or ``expires_in``.
        """
        fields = Params(
            login_hint=login_hint,
            login_hint_token=login_hint_token,
            id_token_hint=id_token_hint,
            binding_message=binding_message,
            user_code=user_code,
            requested_expiry=requested_expiry,
        )
        return run(self._start(fields, extra, resource), self._client, cancel)

    async def start_async(
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
    ) -> BackchannelAuthentication:
        """Send the authentication request without blocking the event loop; see ``start``.

        Args:
            login_hint: As for ``start``.
            login_hint_token: As for ``start``.
            id_token_hint: As for ``start``.
            binding_message: As for ``start``.
            user_code: As for ``start``.
            requested_expiry: As for ``start``.
            extra: As for ``start``.
            resource: As for ``start``.
        """
        fields = Params(
            login_hint=login_hint,
            login_hint_token=login_hint_token,
            id_token_hint=id_token_hint,
            binding_message=binding_message,
            user_code=user_code,
            requested_expiry=requested_expiry,
        )
        return await run_async(self._start(fields, extra, resource), self._client)

    def _start(
        self,
        fields: Params,
        extra: Mapping[str, Any] | None,
        resource: str | Sequence[str] | None,
    ) -> Flow[BackchannelAuthentication]:
        if fields["requested_expiry"] is not None:
            check_count("requested_expiry", fields["requested_expiry"])
        _check_hints(fields)
        if taken := sorted({*fields, "scope"} & set(extra or ())):
            raise ConfigurationError(
                f"extra: must not contain {', '.join(taken)}; pass scope to "
                "CibaFlow and the others to start as arguments."
            )
        parameters = login_parameters(self._client, GRANT_TYPE, extra=extra, resource=resource)
        arguments = Params(scope=self._scope, extra=parameters.first, **fields)
        response = Params((yield EndpointCall(_STEP, arguments)))
        auth_req_id = response.get("auth_req_id")
        lifetime = seconds(response.get("expires_in"))
        if not isinstance(auth_req_id, str) or not auth_req_id or lifetime is None:
            raise ResponseInvalidError(
                f"The response of {self._client.provider.host} lacks auth_req_id or expires_in, "
                "which are required (CIBA Core section 7.3).",
                evidence=Evidence(provider=self._client.provider.host, step=_STEP),
            )
        return BackchannelAuthentication(
            auth_req_id=auth_req_id,
            expires_in=lifetime,
            interval=polling_interval(response.get("interval")),
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
        """Poll until the user has decided (CIBA Core section 10.1).

        Args:
            authentication: Result of ``start``.
            cancel: Setting it ends the wait.
            on_poll: Called with the outcome of each poll: ``authorization_pending``, ``slow_down``,
                or the code of a temporary failure, such as ``outcome_unknown``.

        Raises:
            AccessDeniedException: The user denied the request.
            ExpiredTokenException: The provider reports that the request has expired.
            FlowTimeoutError: The request expired without a decision. The error names the failure
                of the last poll, if there was one.
            FlowCancelledError: ``cancel`` was set.
        """
        return run(self._wait(authentication, on_poll), self._client, cancel)

    async def wait_async(
        self,
        authentication: BackchannelAuthentication,
        *,
        on_poll: Callable[[str], object] | None = None,
    ) -> Token:
        """Poll until the user has decided, without blocking the event loop; see ``wait``.

        To stop waiting, cancel the task.

        Args:
            authentication: Result of ``start`` or ``start_async``.
            on_poll: As for ``wait``; may be asynchronous.
        """
        return await run_async(self._wait(authentication, on_poll), self._client)

    def _wait(
        self,
        authentication: BackchannelAuthentication,
        on_poll: Callable[[str], object] | None,
    ) -> Flow[Token]:
        request = TokenCall(
            Params(
                grant_type=GRANT_TYPE,
                auth_req_id=authentication.auth_req_id,
                extra=authentication.parameters or None,
                attempts=1,  # the flow repeats polls at the interval
            )
        )

        def expired() -> FlowTimeoutError:
            return FlowTimeoutError(
                f"The user did not respond within {authentication.expires_in:g} s; start again.",
                evidence=Evidence(provider=self._client.provider.host, grant_type=GRANT_TYPE),
            )

        return poll(
            request,
            interval=authentication.interval,
            remaining=authentication.remaining,
            expired=expired,
            pause=self._pause,
            on_poll=on_poll,
        )


def _check_hints(fields: Mapping[str, Any]) -> None:
    given = [name for name in _HINTS if fields[name] is not None]
    if len(given) == 1:
        return
    wrong = f"{' and '.join(given)} were given" if given else "none was given"
    raise RequestInvalidError(
        f"Nothing was sent: exactly one of {', '.join(_HINTS)} is required, but {wrong}.",
        errors={name: ["exactly one of the hints is required"] for name in given or _HINTS},
        evidence=Evidence(grant_type=GRANT_TYPE, step=_STEP),
    )
