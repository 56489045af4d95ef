"""The issuer's part of grants, imported only when an issuer needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from grantway._exceptions import GrantInvalidError
from grantway._types.callables import kind_of
from grantway._types.grant import IssuerGrant
from grantway._types.plugin_status import PluginStatus

from .export_rules import check_issuer_grant
from .failures import not_loaded, reason_of


class IssuerGrants(Mapping[str, IssuerGrant]):
    """grant_type -> issuer grant. Iterating over the names imports nothing.

    Args:
        registered: grant_type -> issuer grant, or a reference to one, like ``module:attribute``.
        owners: grant_type -> the plugin that registered it.
    """

    def __init__(
        self, registered: Mapping[str, IssuerGrant | str], owners: Mapping[str, PluginStatus]
    ) -> None:
        self._registered = registered
        self._owners = owners

    def __getitem__(self, grant_type: str) -> IssuerGrant:
        """Return an issuer grant, which a reference imports.

        Raises:
            KeyError: no plugin registered it.
            PluginLoadError: the reference cannot be imported, or names no issuer grant.
        """
        found = self._registered[grant_type]
        if not isinstance(found, str):
            return found
        try:
            return _imported(grant_type, found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            owner = self._owners[grant_type]
            raise not_loaded(replace(owner, state="failed", reason=reason_of(error))) from error

    def __contains__(self, grant_type: object) -> bool:
        return grant_type in self._registered

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __len__(self) -> int:
        return len(self._registered)


def _imported(grant_type: str, reference: str) -> IssuerGrant:
    from pkgutil import resolve_name  # noqa: PLC0415 - only an issuer needs it

    side = resolve_name(reference)
    if isinstance(side, (str, type)):
        raise GrantInvalidError(
            f"the issuer grant {grant_type} names {reference}, which is {kind_of(side)}; "
            "name an object with decide(request, transaction)"
        )
    check_issuer_grant(grant_type, side)
    issuer_grant: IssuerGrant = side
    return issuer_grant
