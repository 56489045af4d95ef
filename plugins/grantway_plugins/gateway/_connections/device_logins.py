"""Connect an account with a device code (RFC 8628). A background job polls the provider."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    AuthorizationPendingException,
    GrantwayError,
    SlowDownException,
    StoreError,
    StoreUnreadableError,
    TokenError,
)
from grantway._processes.copies import Value
from grantway_grants._polling import LONGEST_PAUSE, SLOWER, is_transient, stated_interval
from grantway_grants.device_code import GRANT_TYPE, DeviceFlow

from .records import Job
from .user import User

if TYPE_CHECKING:
    from grantway._types.token import Token

    from .provider import ConnectionProvider
    from .service import Connections

#: Start of the ids of jobs; the rest is the id of the login.
PREFIX = "device "
#: Seconds for which the result of a login can be shown after its codes have expired.
_SHOWN = 600.0
#: Times that a new token is saved, and the pause in between in seconds.
_SAVES, _PAUSE = 3, 1.0


@dataclass(frozen=True, slots=True)
class DeviceLogin(Value):
    """A login that a user has started and finishes on another device.

    Attributes:
        id: Identifies the login.
        user: Issuer, subject and name of the user whose connection it will be.
        provider: Name of the provider.
        user_code: The code that the user enters.
        verification_uri: The URL at which the user enters it.
        verification_uri_complete: The URL that contains the user code, or None.
        expires_at: Time at which the codes expire, in seconds since the epoch.
        interval: Seconds between two polls.
        device_code: The code for polling; a secret.
        problem: Error code of a login that has failed; empty while it is pending.
    """

    id: str
    user: tuple[str, str, str]
    provider: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    interval: float
    device_code: str = field(repr=False)
    problem: str = ""

    @property
    def of(self) -> User:
        """The user whose connection it will be."""
        return User(*self.user)


class DeviceLogins:
    """The pending logins with device codes: the last one of each user and provider.

    Args:
        connections: The connections.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._records, self._sealed = connections.records, connections.sealed

    async def begin(self, user: User, at: ConnectionProvider) -> DeviceLogin:
        """Start a login in place of an earlier one, and poll for its end in the background.

        Raises:
            GrantwayError: The provider gave no codes.
            StoreError: The login could not be saved.
        """
        flow = DeviceFlow(at.client, scope=at.scope, extra=at.extra, resource=at.resource)
        started, now = await flow.start_async(), self._connections.clock()
        login = DeviceLogin(
            secrets.token_urlsafe(16),
            (user.issuer, user.subject, user.name),
            at.name,
            started.user_code,
            started.verification_uri,
            started.verification_uri_complete,
            expires_at=now + started.expires_in,
            interval=started.interval,
            device_code=started.device_code,
        )
        await self._keep(login)
        about = json.dumps({"user": user.id, "provider": at.name})
        await self._records.schedule(Job(PREFIX + login.id, now + started.interval, about))
        return login

    async def find(self, user_id: str, provider: str) -> DeviceLogin | None:
        """Return the last login that has not ended with a connection, or None.

        It is shown for some minutes after it has failed.
        """
        key = _key(user_id, provider)
        kept = await self._records.kept(key, self._connections.clock())
        if kept is None:
            return None
        try:
            found = self._sealed.open(kept, key)
        except StoreUnreadableError:  # its key was removed
            return None
        return DeviceLogin(**{**found, "user": tuple(found["user"])})

    async def poll(self, job: Job) -> None:
        """Ask the provider once whether the user has approved a login.

        Raises:
            StoreError: The records failed. The next poll follows when the claim of the job ends.
        """
        about = json.loads(job.payload)
        login = await self.find(about["user"], about["provider"])
        at = self._connections.providers.get(about["provider"])
        now = self._connections.clock()
        if login is None or login.id != job.id.removeprefix(PREFIX) or login.problem or at is None:
            await self._records.finish(job.id)
            return
        pause = login.interval
        if now >= login.expires_at:
            problem = "expired_token"
        else:
            try:
                token = await at.client.create_token_async(
                    grant_type=GRANT_TYPE,
                    device_code=login.device_code,
                    extra=at.token_extra or None,
                    attempts=1,  # the job repeats polls at the right interval
                )
            except AuthorizationPendingException as pending:
                problem, pause = "", max(pause, stated_interval(pending))
            except SlowDownException as slow:
                problem, pause = "", max(pause + SLOWER, stated_interval(slow))
            except GrantwayError as error:
                problem = "" if is_transient(error) else _code_of(error)
                pause = max(pause, min(2 * pause, LONGEST_PAUSE))
            else:
                problem = await self._save(login, token)
                if not problem:
                    await self._end(job, login, None)
                    return
        await self._end(job, login, replace(login, interval=pause, problem=problem))

    async def _end(self, job: Job, polled: DeviceLogin, after: DeviceLogin | None) -> None:
        """Save a login after a poll, or remove it if it is connected.

        Nothing is saved if the user has started another login while the provider was asked.
        """
        last = await self.find(polled.of.id, polled.provider)
        is_last = last is not None and last.id == polled.id
        if is_last and after is None:
            await self._records.take(_key(polled.of.id, polled.provider), self._connections.clock())
        elif is_last and after is not None:
            await self._keep(after)
            if not after.problem:
                due_at = self._connections.clock() + after.interval
                await self._records.schedule(replace(job, due_at=due_at))
                return
        await self._records.finish(job.id)

    async def _save(self, login: DeviceLogin, token: Token) -> str:
        """Save the token, and return the error code if that failed."""
        code = StoreError.code
        for left in reversed(range(_SAVES)):
            try:
                await self._connections.connected(login.of, login.provider, token)
            except StoreError as error:
                code = error.code
                if left:
                    await asyncio.sleep(_PAUSE)
            else:
                return ""
        return code

    async def _keep(self, login: DeviceLogin) -> None:
        key = _key(login.of.id, login.provider)
        sealed = self._sealed.seal(asdict(login), key)
        await self._records.keep(key, sealed, login.expires_at + _SHOWN)


def _key(user_id: str, provider: str) -> str:
    return f"device {user_id} {provider}"


def _code_of(error: GrantwayError) -> str:
    return error.error if isinstance(error, TokenError) else error.code
