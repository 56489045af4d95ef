"""The device authorization grant (RFC 8628): log in here, approve on another device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import Evidence, FlowTimeoutError, ResponseInvalidError
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._secrets.params import Params
from grantway._secrets.redaction import visible
from grantway._transport.http import is_web_address
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.token import Token
from grantway.hookspecs import hookimpl

from ._flow import Callback, EndpointCall, Flow, TokenCall, run, run_async
from ._login_parameters import login_parameters
from ._polling import poll, polling_interval, seconds

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: Default lifetime of the codes in seconds.
_LIFETIME = 600.0


class DeviceCodeSchema(GrantSchema):
    """The ``device_code``. AWS also accepts ``scope`` and ignores it."""

    device_code = Text(required=True, example='"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"')
    scope = Scope()


DEVICE_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=DeviceCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"device_code"}),
    single_use=frozenset({"device_code"}),
    summary="A token after the user has approved on another device (RFC 8628)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the device code grant."""
    return [DEVICE_CODE]


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """A device authorization response (RFC 8628 section 3.2).

    Attributes:
        device_code: The code for polling; a secret.
        user_code: The code that the user enters, without control and invisible characters.
        verification_uri: The URL at which the user enters it.
        verification_uri_complete: The URL that contains the user code, for a QR code, or None.
        expires_in: Lifetime of the codes in seconds.
        interval: Minimum seconds between two polls.
        started_at: Monotonic time of the response.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float
    started_at: float = field(repr=False)

    def remaining(self) -> float:
        """Return the seconds until the codes expire; zero or negative afterwards."""
        return self.started_at + self.expires_in - time.monotonic()


class DeviceFlow(OneProcess):
    """A device login: start it, show the user the code, and wait for the token.

    ::

        flow = DeviceFlow(client, scope=["read"])
        authorization = flow.start()
        print(authorization.verification_uri, authorization.user_code)
        token = flow.wait(authorization)

    In an event loop, await ``start_async`` and ``wait_async``.

    Args:
        client: The client; its provider must have a ``device_authorization_endpoint``.
        scope: Scope names to request.
        extra: Provider-specific parameters, sent with the device authorization request and the
            token requests. Parameters of the first request alone, such as AWS's ``start_url``, are
            not sent to the token endpoint.
        resource: The APIs that the token is for (RFC 8707), sent with both requests.
        pause: Called with the seconds to wait between polls; by default, wait in real time until
            ``cancel`` is set. For ``wait_async``, it may be asynchronous.
    """

    stays = "it holds a client; create one in the process that uses it"

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str | None = None,
        extra: Mapping[str, Any] | None = None,
        resource: str | Sequence[str] | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._client = client
        self._scope = Scope().names(scope) or client.provider.scope or None
        self._parameters = login_parameters(client, GRANT_TYPE, extra=extra, resource=resource)
        self._pause = pause

    def start(self, *, cancel: threading.Event | None = None) -> DeviceAuthorization:
        """Request the codes (RFC 8628 section 3.1).

        Args:
            cancel: Setting this event ends the wait between two attempts.

        Raises:
            TokenError: the provider rejected the request.
            ResponseInvalidError: the response lacks a code or URL, or a URL is not http or https.
        """
        return run(self._start(), self._client, cancel)

    async def start_async(self) -> DeviceAuthorization:
        """Request the codes without blocking the event loop; see ``start``."""
        return await run_async(self._start(), self._client)

    def _start(self) -> Flow[DeviceAuthorization]:
        arguments = Params(scope=self._scope, extra=self._parameters.first)
        response = Params((yield EndpointCall("device_authorization", arguments)))
        # Early servers of Google and others use the name verification_url.
        for old, name in (
            ("verification_url", "verification_uri"),
            ("verification_url_complete", "verification_uri_complete"),
        ):
            response.setdefault(name, response.get(old))
        if isinstance(response.get("user_code"), str):
            response["user_code"] = visible(response["user_code"])
        missing = [
            name
            for name in ("device_code", "user_code", "verification_uri")
            if not isinstance(response.get(name), str) or not response[name]
        ]
        stated = response.get("expires_in")
        lifetime = seconds(_LIFETIME if stated is None else stated)
        if lifetime is None:
            missing.append("expires_in")
        if missing or lifetime is None:
            raise ResponseInvalidError(
                f"The device authorization response of {self._client.provider.host} lacks "
                f"{', '.join(missing)} (RFC 8628 section 3.2). Check the "
                "device_authorization_endpoint.",
                evidence=Evidence(provider=self._client.provider.host, step="device_authorization"),
            )
        complete = response["verification_uri_complete"]
        complete = complete if isinstance(complete, str) and complete else None
        self._check_address("verification_uri", response["verification_uri"])
        if complete is not None:
            self._check_address("verification_uri_complete", complete)
        return DeviceAuthorization(
            device_code=response["device_code"],
            user_code=response["user_code"],
            verification_uri=response["verification_uri"],
            verification_uri_complete=complete,
            expires_in=lifetime,
            interval=polling_interval(response.get("interval")),
            started_at=time.monotonic(),
        )

    def _check_address(self, name: str, url: str) -> None:
        """Reject a URL that does not open a web page."""
        if not is_web_address(url):
            host = self._client.provider.host
            raise ResponseInvalidError(
                f"The {name} in the device authorization response of {host} is not an http or "
                "https URL (RFC 8628 section 3.2), so it was neither shown nor opened. Report this "
                "to the provider.",
                evidence=Evidence(provider=host, step="device_authorization"),
            )

    def wait(
        self,
        authorization: DeviceAuthorization,
        *,
        cancel: threading.Event | None = None,
        on_poll: Callable[[str], None] | None = None,
    ) -> Token:
        """Poll until the user has decided (RFC 8628 section 3.4).

        Args:
            authorization: The result of ``start``.
            cancel: Setting this event ends the wait.
            on_poll: Called after each poll without a token, with ``authorization_pending``,
                ``slow_down`` or the code of a transient failure, such as ``outcome_unknown``.

        Raises:
            AccessDeniedException: the user denied the request.
            ExpiredTokenException: the provider reports that the codes have expired.
            FlowTimeoutError: the codes expired before the user decided; includes the failure of
                the last poll, if any.
            FlowCancelledError: ``cancel`` was set.
        """
        return run(self._wait(authorization, on_poll), self._client, cancel)

    async def wait_async(
        self,
        authorization: DeviceAuthorization,
        *,
        on_poll: Callable[[str], object] | None = None,
    ) -> Token:
        """Poll until the user has decided, without blocking the event loop; see ``wait``.

        To stop waiting, cancel the task.

        Args:
            authorization: The result of ``start`` or ``start_async``.
            on_poll: As for ``wait``; may be asynchronous.
        """
        return await run_async(self._wait(authorization, on_poll), self._client)

    def _wait(
        self, authorization: DeviceAuthorization, on_poll: Callable[[str], object] | None
    ) -> Flow[Token]:
        request = TokenCall(
            Params(
                grant_type=GRANT_TYPE,
                device_code=authorization.device_code,
                extra=self._parameters.token or None,
                attempts=1,  # the flow repeats polls at the right interval
            )
        )

        def expired() -> FlowTimeoutError:
            return FlowTimeoutError(
                f"The code {authorization.user_code} was not approved within "
                f"{authorization.expires_in:g} s; start the login again.",
                evidence=Evidence(provider=self._client.provider.host, grant_type=GRANT_TYPE),
            )

        return poll(
            request,
            interval=authorization.interval,
            remaining=authorization.remaining,
            expired=expired,
            pause=self._pause,
            on_poll=on_poll,
        )


def login(
    client: Client,
    prompt: Callable[[DeviceAuthorization], None],
    *,
    scope: list[str] | tuple[str, ...] | str | None = None,
    extra: Mapping[str, Any] | None = None,
    resource: str | Sequence[str] | None = None,
    cancel: threading.Event | None = None,
) -> Token:
    """Log in on another device and return the token.

    Args:
        client: The client.
        prompt: Called once to show the user the URL and the code.
        scope: Scope names to request.
        extra: Provider-specific parameters; see ``DeviceFlow``.
        resource: The APIs that the token is for (RFC 8707).
        cancel: Setting this event ends the wait.

    Raises:
        GrantwayError: as for ``DeviceFlow.start`` and ``DeviceFlow.wait``.
    """
    flow = DeviceFlow(client, scope=scope, extra=extra, resource=resource)
    return run(_login(flow, prompt), client, cancel)


async def login_async(
    client: Client,
    prompt: Callable[[DeviceAuthorization], object],
    *,
    scope: list[str] | tuple[str, ...] | str | None = None,
    extra: Mapping[str, Any] | None = None,
    resource: str | Sequence[str] | None = None,
) -> Token:
    """Log in on another device without blocking the event loop; see ``login``.

    To stop waiting, cancel the task.

    Args:
        client: The client.
        prompt: As for ``login``; may be asynchronous.
        scope: As for ``login``.
        extra: As for ``login``.
        resource: As for ``login``.
    """
    flow = DeviceFlow(client, scope=scope, extra=extra, resource=resource)
    return await run_async(_login(flow, prompt), client)


def _login(flow: DeviceFlow, prompt: Callable[[DeviceAuthorization], object]) -> Flow[Token]:
    authorization = yield from flow._start()  # noqa: SLF001 - same module
    yield Callback("prompt", prompt, authorization)
    return (yield from flow._wait(authorization, None))  # noqa: SLF001
