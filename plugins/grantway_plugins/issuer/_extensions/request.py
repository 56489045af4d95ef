"""Requests that the issuer passes to extensions and to methods of client authentication."""

from __future__ import annotations

from dataclasses import dataclass, field

from grantway._secrets.params import Params
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import AccessTokenRecord, RegisteredClient
from grantway_plugins.server._http.headers import Headers


@dataclass(frozen=True, slots=True)
class IssuerRequest:
    """A request to an endpoint or page of an extension, or of a client to be authenticated.

    The repr contains no value of a parameter or header.

    Attributes:
        method: The HTTP method.
        params: Parameters of the form or JSON body; for other methods than POST, PUT and PATCH
            those of the query.
        headers: Headers of the request; names are case-insensitive.
        peer: Address that sent the request: the connection's, or the one that a trusted proxy
            forwards. Empty if unknown.
        now: Current time in seconds since the epoch.
        settings: Settings of the issuer.
        client: The authenticated client, if the endpoint authenticates clients.
        token: The access token, if the endpoint requires one.
        subject: The user in front of a page.
        session: Identifier of the browser session of a page, which is not the cookie's value.
    """

    method: str
    params: Params
    headers: Headers
    peer: str
    now: float
    settings: IssuerSettings = field(repr=False)
    client: RegisteredClient | None = None
    token: AccessTokenRecord | None = None
    subject: str = ""
    session: str = ""
