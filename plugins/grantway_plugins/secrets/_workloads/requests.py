"""Request a token from the platform of a workload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from grantway._exceptions import GrantwayError, SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.quantity import check_seconds

#: Maximum size of a response, in bytes.
_MOST = 65_536
#: Statuses after which another attempt may succeed.
_BUSY = frozenset({404, 408, 410, 429, 500, 502, 503, 504})
_ATTEMPTS, _PAUSE = 3, 0.2
_OK = 200


@hides_arguments
def fetch(
    url: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    timeout: float,
    *,
    advice: str,
    through_proxy: bool = False,
) -> HttpResponse:
    """Return the response of the platform, after up to three attempts.

    Args:
        url: The URL, which may have a query.
        params: Parameters to add to the query.
        headers: Headers of the request, which may contain a secret.
        timeout: Seconds for all attempts.
        advice: What to do if the platform does not respond or rejects the request.
        through_proxy: Whether to use the proxy of the environment; a metadata service has to be
            reached directly.

    Raises:
        SecretUnavailableError: There is no response with status 200. The message contains neither
            headers nor the query nor the body.
    """
    from grantway._transport.transport import HttpTransport  # noqa: PLC0415 - slow to load

    check_seconds("timeout", timeout)
    full = f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"
    where = urlsplit(url)._replace(query="").geturl()
    deadline, problem = Deadline(timeout), ""
    transport = HttpTransport.within(
        timeout,
        max_response=_MOST,
        trust_env=through_proxy,
        proxies=None if through_proxy else {},
    )
    try:
        for attempt in range(_ATTEMPTS):
            if attempt:
                deadline.wait(_PAUSE * 2**attempt)
            try:
                response = transport.send(HttpRequest("GET", full, {**headers}), deadline)
            except GrantwayError as error:
                problem = error.message.rstrip(".")
            else:
                if response.status == _OK:
                    return response
                problem = f"{where} returned status {response.status}"
                if response.status not in _BUSY:
                    break
            if deadline.remaining() <= 0:
                break
    finally:
        transport.close()
    raise SecretUnavailableError(f"{problem}; {advice}")


@hides_arguments
def member(response: HttpResponse, name: str, where: str) -> str:
    """Return a text member of a JSON response.

    Raises:
        SecretUnavailableError: The response has no such member.
    """
    try:
        found: Any = json.loads(response.body)
    except (ValueError, RecursionError):
        found = None
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, str) and value:
        return value
    raise SecretUnavailableError(f"the response of {where} has no {name}; check the platform")
