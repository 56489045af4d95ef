"""Resources of a request, and the audience of its access token (RFC 8707)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway_plugins.grants import token_exchange
from grantway_plugins.issuer._resource import AccessTokenFormat, Resource, is_resource
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireFormat, WireRequest

if TYPE_CHECKING:
    from .decision import GrantRequest, Issue

#: Name of the parameter.
PARAMETER = "resource"
#: Maximum number of resources in one request.
MAX_RESOURCES = 20
#: Maximum length of a resource, in characters.
MAX_LENGTH = 2048
_ERROR = "invalid_target"


def check_requested(settings: IssuerSettings, values: Sequence[object]) -> tuple[str, ...]:
    """Return the requested resources without duplicates.

    If the settings list no resources, every valid one is accepted.

    Args:
        settings: Settings of the issuer.
        values: Values of the ``resource`` parameters.

    Raises:
        DenialError: a value is invalid, or the settings do not list it.
    """
    if len(values) > MAX_RESOURCES:
        raise DenialError(_ERROR, f"There are more than {MAX_RESOURCES} resources")
    found: dict[str, None] = {}
    for value in values:
        if not isinstance(value, str) or len(value) > MAX_LENGTH or not is_resource(value):
            raise DenialError(
                _ERROR, "resource must be an absolute URI without fragment; send each one once"
            )
        if settings.resources and _find(settings, value) is None:
            raise DenialError(_ERROR, "The issuer does not know this resource; check its spelling")
        found[value] = None
    return tuple(found)


def requested_resources(settings: IssuerSettings, request: WireRequest) -> tuple[str, ...]:
    """Return the resources in a request; AWS's dialect has none.

    Raises:
        DenialError: as ``check_requested``.
    """
    params = request.params
    values = params.get(PARAMETER)
    if values is None or request.dialect is WireFormat.AWS:
        return ()
    exchanges = params.get("grant_type") == token_exchange.GRANT_TYPE
    if exchanges and params.get("requested_token_type") == token_exchange.ID_JAG:
        return ()  # resources of another authorization server
    return check_requested(settings, values if isinstance(values, list) else [values])


def target_denial(
    request: GrantRequest,
    approved: tuple[str, ...],
    scope: tuple[str, ...],
    audience: tuple[str, ...] = (),
) -> Denial | None:
    """Return the denial of a request whose resources its login does not permit, or None.

    A request may narrow the resources that the user approved, but not add to them.

    Args:
        request: The token request.
        approved: The approved resources; empty if the client requested none.
        scope: Scopes to issue.
        audience: Audience that the grant sets; by default the requested or the approved resources.
    """
    if approved and not set(request.resources) <= set(approved):
        return Denial(_ERROR, "The login was not approved for this resource; log in again with it")
    audience = audience or request.resources or approved
    if scope and audience and not _scopes_of(request.settings, audience, scope):
        return Denial("invalid_scope", "No granted scope is for the requested resource")
    return None


def for_resources(issue: Issue, requested: tuple[str, ...], settings: IssuerSettings) -> Issue:
    """Return the decision with the audience and the scopes of its resources.

    Without a ``resource`` in the request, the token is for all approved ones. The audience that a
    grant sets itself is not changed, but a token for a listed resource has only its scopes.
    """
    audience = issue.audience or requested or issue.family.details.resources
    if not audience:
        return issue
    return replace(issue, audience=audience, scope=_scopes_of(settings, audience, issue.scope))


def access_token_format(
    settings: IssuerSettings, audience: Iterable[str], default: AccessTokenFormat = "opaque"
) -> AccessTokenFormat:
    """Return the format of an access token: ``jwt`` if one of the resources requires it."""
    formats = {each.access_token_format or default for each in _known(settings, audience)}
    if not formats:
        return default
    return "jwt" if "jwt" in formats else "opaque"


def access_token_lifetime(settings: IssuerSettings, audience: Iterable[str]) -> float:
    """Return the lifetime of an access token in seconds: the shortest of its resources."""
    lifetimes = (each.access_token_lifetime for each in _known(settings, audience))
    return min([settings.lifetimes.access_token, *(each for each in lifetimes if each is not None)])


def may_introspect(settings: IssuerSettings, audience: Iterable[str], client_id: str) -> bool:
    """Return whether a client may introspect tokens with an audience.

    It may if it is a member of the audience, or an introspection client of one of the resources.
    """
    members = tuple(audience)
    return client_id in members or any(
        client_id in each.introspection_clients for each in _known(settings, members)
    )


def _scopes_of(
    settings: IssuerSettings, audience: Iterable[str], scope: tuple[str, ...]
) -> tuple[str, ...]:
    # A token exchange can add another audience to that of a resource, which must not add scopes.
    known = [each.scopes for each in _known(settings, audience)]
    if not known or None in known:
        return scope
    allowed = {name for scopes in known for name in scopes or ()}
    return tuple(each for each in scope if each in allowed)


def unlisted(settings: IssuerSettings, audience: Iterable[str]) -> list[str]:
    """Return the members of an audience that are not listed resources."""
    return [each for each in audience if _find(settings, each) is None]


def _known(settings: IssuerSettings, audience: Iterable[str]) -> list[Resource]:
    return [found for url in audience if (found := _find(settings, url)) is not None]


def _find(settings: IssuerSettings, url: str) -> Resource | None:
    return next((each for each in settings.resources if each.url == url), None)
