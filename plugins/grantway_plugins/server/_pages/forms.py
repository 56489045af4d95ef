"""Read submitted forms."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import BODY_CAP, parse_form

from .rendering import PageRenderer


async def read_form(
    request: Request,
    renderer: PageRenderer,
    seconds: float,
    *,
    repeatable: frozenset[str] = frozenset(),
) -> dict[str, Any] | Response:
    """Return the non-empty fields of a form, or an error page.

    Args:
        request: The request.
        renderer: Renders the error page.
        seconds: Time limit for the form, in seconds.
        repeatable: Names of fields that may be repeated; their values are lists.
    """
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_CAP:
                    return renderer.message("Too large", "The form is too large.", 413)
    except TimeoutError:
        response = renderer.message(
            "Too slow",
            f"The form took more than {seconds:g} seconds. Go back and send it again.",
            408,
        )
        response.headers["connection"] = (
            "close"  # so that the rest of the form is not read as another request
        )
        return response
    except ClientDisconnect:
        return renderer.message(
            "Incomplete", "The form did not arrive completely. Go back and send it again.", 400
        )
    try:
        return parse_form(body, repeatable=repeatable)
    except DenialError:
        return renderer.message(
            "Not a form", "The form could not be read. Go back and send it again.", 400
        )
