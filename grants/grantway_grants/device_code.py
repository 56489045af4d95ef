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
from grantway._secrets.redaction import visible
from grantway._transport.http import is_web_address
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.token import Token
from grantway.hookspecs import hookimpl

from ._login_parameters import login_parameters
from ._polling import poll, polling_interval, seconds

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: Lifetime of the codes, in seconds, where the provider states none; it may end them earlier.
_LIFETIME = 600.0


class DeviceCodeSchema(GrantSchema):
    """``device_code``; AWS's ``scope`` is allowed too, and has no effect there."""

    device_code = Text(required=True, example='"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"')
    scope = Scope()


DEVICE_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=DeviceCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"device_code"}),
    single_use=frozenset({"device_code"}),
    summary="A token once a person has approved on another device (RFC 8628)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the device code grant."""
    return [DEVICE_CODE]


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What the person is shown, and what is polled with (RFC 8628 section 3.2).

    Attributes:
        device_code: For polling; a secret.
        user_code: What the person types; control and invisible characters are removed.
        verification_uri: Where the person types it.
        verification_uri_complete: The same with the code in it, for a QR code; or None.
        expires_in: Lifetime of the codes in seconds.
        interval: Least seconds between two polls.
        started_at: Monotonic time of the answer.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float
    started_at: float = field(repr=False)

    def remaining(self) -> float:
        """Seconds until the codes expire; zero or less when they have."""
        return self.started_at + self.expires_in - time.monotonic()


class DeviceFlow(OneProcess):
    """A device login: start it, show the person what to do, wait for the token.

    ::

        flow = DeviceFlow(client, scope=["read"])
        authorization = flow.start()
        print(authorization.verification_uri, authorization.user_code)
        token = flow.wait(authorization)

    Args:
        client: Who logs in; its provider needs a ``device_authorization_endpoint``.
        scope: Scope names to ask for.
        extra: Provider-specific parameters, sent with the device authorization request and the
            token requests. Those that only the first request knows, such as AWS's ``start_url``,
            are not sent to the token endpoint.
        resource: The APIs that the token is for (RFC 8707), sent with both requests.
        pause: Waits so many seconds between polls; by default real time, cut short by ``cancel``.
    """

    stays = "it holds a client; make one in the process that uses it"

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str | None = None,
        extra: Mapping[str, Any] | None = None,
        resource: str | Sequence[str] | None = None,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._scope = Scope().names(scope)
        self._parameters = login_parameters(client, GRANT_TYPE, extra=extra, resource=resource)
        self._pause = pause

    def start(self, *, cancel: threading.Event | None = None) -> DeviceAuthorization:
        """Ask for a pair of codes (RFC 8628 section 3.1).

        Raises:
            TokenError: the provider refused.
            ResponseInvalidError: the answer lacks a code or an address, or an address is not
                http or https.
        """
        answer = self._client.call(
            "device_authorization",
            cancel=cancel,
            scope=self._scope,
            extra=self._parameters.beginning,
        )
        # Google's early servers said verification_url, and many followed.
        for old, name in (
            ("verification_url", "verification_uri"),
            ("verification_url_complete", "verification_uri_complete"),
        ):
            answer.setdefault(name, answer.get(old))
        if isinstance(answer.get("user_code"), str):
            answer["user_code"] = visible(answer["user_code"])
        missing = [
            name
            for name in ("device_code", "user_code", "verification_uri")
            if not isinstance(answer.get(name), str) or not answer[name]
        ]
        stated = answer.get("expires_in")
        lifetime = seconds(_LIFETIME if stated is None else stated)
        if lifetime is None:
            missing.append("expires_in")
        if missing or lifetime is None:
            raise ResponseInvalidError(
                f"{self._client.provider.host} started a device login without "
                f"{', '.join(missing)} (RFC 8628 section 3.2).",
                evidence=Evidence(provider=self._client.provider.host, step="device_authorization"),
            )
        complete = answer["verification_uri_complete"]
        complete = complete if isinstance(complete, str) and complete else None
        self._check_address("verification_uri", answer["verification_uri"])
        if complete is not None:
            self._check_address("verification_uri_complete", complete)
        return DeviceAuthorization(
            device_code=answer["device_code"],
            user_code=answer["user_code"],
            verification_uri=answer["verification_uri"],
            verification_uri_complete=complete,
            expires_in=lifetime,
            interval=polling_interval(answer.get("interval")),
            started_at=time.monotonic(),
        )

    def _check_address(self, name: str, url: str) -> None:
        """Reject an address that would run or open something other than a web page."""
        if not is_web_address(url):
            host = self._client.provider.host
            raise ResponseInvalidError(
                f"{host} started a device login, but its {name} is not an http or https address "
                "(RFC 8628 section 3.2). It was neither shown nor opened; tell the provider.",
                evidence=Evidence(provider=host, step="device_authorization"),
            )

    def wait(
        self,
        authorization: DeviceAuthorization,
        *,
        cancel: threading.Event | None = None,
        on_poll: Callable[[str], None] | None = None,
    ) -> Token:
        """Poll until the person has decided (RFC 8628 section 3.4).

        Args:
            authorization: What ``start`` gave.
            cancel: Ends the wait at once when it is set.
            on_poll: Told the outcome of each poll: ``authorization_pending``, ``slow_down``,
                or the code of a failure that may pass, such as ``outcome_unknown``.

        Raises:
            AccessDeniedException: the person said no.
            ExpiredTokenException: the provider says that the codes have expired.
            FlowTimeoutError: they expired without a decision; names the failure of the last
                poll, if any.
            FlowCancelledError: ``cancel`` was set.
        """

        def ask() -> Token:
            return self._client.create_token(
                grant_type=GRANT_TYPE,
                device_code=authorization.device_code,
                extra=self._parameters.token or None,
                cancel=cancel,
                attempts=1,  # a poll is repeated by the flow, which knows the interval
            )

        def too_late() -> FlowTimeoutError:
            return FlowTimeoutError(
                f"Nobody approved {authorization.user_code} within "
                f"{authorization.expires_in:g} s; start the login again.",
                evidence=Evidence(provider=self._client.provider.host, grant_type=GRANT_TYPE),
            )

        return poll(
            ask,
            interval=authorization.interval,
            remaining=authorization.remaining,
            too_late=too_late,
            pause=self._pause,
            cancel=cancel,
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
    """Log in on another device, from start to token.

    Args:
        client: Who logs in.
        prompt: Shows the person the address and the code; called once.
        scope: Scope names to ask for.
        extra: Provider-specific parameters; see ``DeviceFlow``.
        resource: The APIs that the token is for (RFC 8707).
        cancel: Ends the wait at once when it is set.
    """
    flow = DeviceFlow(client, scope=scope, extra=extra, resource=resource)
    authorization = flow.start(cancel=cancel)
    prompt(authorization)
    return flow.wait(authorization, cancel=cancel)
