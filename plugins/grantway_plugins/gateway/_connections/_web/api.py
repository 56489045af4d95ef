"""The JSON API with which programs list, connect and disconnect their user's accounts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.gateway._connections.connecting import ConnectError, begin_device
from grantway_plugins.gateway._connections.outcomes import ConnectionStatus

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.device_logins import DeviceLogin
    from grantway_plugins.gateway._connections.provider import ConnectionProvider
    from grantway_plugins.gateway._connections.user import User

    from .context import WebContext

_HEADERS = {
    "cache-control": "no-store",
    "vary": "Accept, Authorization, Cookie",
    "x-content-type-options": "nosniff",
}


class Api:
    """The JSON API.

    Args:
        context: The objects that the API needs.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context

    async def overview(self, user: User) -> Response:
        """Return all providers with the user's connections."""
        found = await self._context.connections.overview(user)
        return json_response(200, {"connections": [self._shown(each) for each in found]})

    async def provider(self, user: User, at: ConnectionProvider) -> Response:
        """Return one provider with the user's connection."""
        status = await self._context.connections.status(user, at.name)
        pending = await self._context.devices.find(user.id, at.name) if at.device else None
        return json_response(200, {**self._shown(status), **self._device(pending)})

    async def connect(self, user: User, at: ConnectionProvider) -> Response:
        """Return where the user connects an account.

        A login at a provider belongs to the browser session that finishes it, so the URL is that
        of the page and not one of the provider: with a URL of the provider, another person could
        connect an account to this user.
        """
        url = self._context.connections.settings.page(at.name)
        if not at.device:
            return json_response(200, {"provider": at.name, "connect_url": url})
        try:
            pending = await begin_device(self._context.devices, user, at)
        except ConnectError as error:
            return error_response(error.status, "provider_unavailable", error.message)
        found = {"provider": at.name, "connect_url": url, **self._device(pending)}
        return json_response(200, found)

    async def disconnect(self, user: User, at: ConnectionProvider) -> Response:
        """Remove a connection."""
        result = await self._context.connections.disconnect(user, at.name)
        if not result.existed:
            return error_response(404, "not_connected", f"No account at {at.title} is connected")
        members: dict[str, Any] = {"provider": at.name, "revoked": result.revoked}
        if result.problem:
            members["problem"] = result.problem
        return json_response(200, members)

    def _shown(self, status: ConnectionStatus) -> dict[str, Any]:
        found = {name: each for name, each in asdict(status).items() if each not in {None, ""}}
        page = self._context.connections.settings.page(status.provider)
        return {**found, "connect_url": page}

    def _device(self, pending: DeviceLogin | None) -> dict[str, Any]:
        """Return the device authorization response (RFC 8628 section 3.2) without its code."""
        if pending is None:
            return {}
        if pending.problem:
            return {"problem": pending.problem}
        complete = pending.verification_uri_complete
        return {
            "user_code": pending.user_code,
            "verification_uri": pending.verification_uri,
            **({"verification_uri_complete": complete} if complete else {}),
            "expires_in": max(0, int(pending.expires_at - self._context.connections.clock())),
            "interval": pending.interval,
        }


def json_response(status: int, content: dict[str, Any], **headers: str) -> Response:
    """Return a JSON response that must not be cached."""
    body = json.dumps(content)
    return Response(body, status, media_type="application/json", headers={**_HEADERS, **headers})


def error_response(status: int, error: str, description: str, **headers: str) -> Response:
    """Return an error as JSON."""
    members = {"error": error, "error_description": description}
    return json_response(status, members, **headers)


def wants_json(request: Request) -> bool:
    """Return whether a request is for the API: it has a token, or accepts JSON but no HTML."""
    if "authorization" in request.headers:
        return True
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept
