"""Network settings of a file: proxy, trusted certificates, client certificate.

A profile, a gateway's provider and the table ``[network]``, which counts for all of them, have the
same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError, fields, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._types.grant import Text
from grantway._wire.shapes import flag

from .toml_file import PathField, TableSchema

if TYPE_CHECKING:
    from grantway._transport.network import Network
    from grantway._transport.transport import RequestsTransport

    from .components import Components

_PASSWORDS = ("client_key_password_env", "client_key_password_file")
#: What belongs to one certificate, so that another certificate replaces all of it.
_CERTIFICATE = ("client_certificate", "client_key", *_PASSWORDS)
_TLS = ("ca_bundle", *_CERTIFICATE)
#: Key -> the transport's argument.
_ARGUMENTS = {"proxy": "proxies", **dict.fromkeys(_PASSWORDS, "client_key_password")}


class TlsTable(TableSchema):
    """Whom a connection trusts, and how it proves who asks."""

    ca_bundle = Text(example='"ca.pem"')
    client_certificate = Text(example='"client.pem"')
    client_key = Text(example='"client.key"')
    client_key_password_env = Text(example='"MY_KEY_PASSWORD"')
    client_key_password_file = Text(example='"key-password.txt"')

    @validates_schema
    def tell_lone_keys(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse two passwords, and what belongs to a certificate without one."""
        if all(name in data for name in _PASSWORDS):
            rule = f"cannot be combined with {_PASSWORDS[0]}; give one of them"
            raise ValidationError({_PASSWORDS[1]: [rule]})
        lone = [name for name in _CERTIFICATE if name in data]
        if lone and "client_certificate" not in data:
            raise ValidationError({lone[0]: ["needs client_certificate beside it"]})


class TrustEnvironment(fields.Field[bool]):
    """``trust_env``: true or false."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> bool:
        try:
            flag("trust_env", value)
        except ConfigurationError:
            pass
        else:
            return bool(value)
        raise ValidationError("must be true or false")


class NetworkTable(TlsTable):
    """All settings of a client's connections."""

    proxy = fields.String(
        error_messages={"invalid": 'must be an address, like "http://proxy.example.com:3128"'}
    )
    no_proxy = fields.String(
        error_messages={"invalid": 'must be hosts, like "localhost,.example.com"'}
    )
    trust_env = TrustEnvironment()


class NetworkSettings:
    """The settings of one profile, provider or route.

    Args:
        parts: Reads the secrets of the file.
        own: The table that may have settings, checked.
        at: Where it stands.
        common: ``[network]``, checked; counts for what ``own`` leaves out.
    """

    def __init__(
        self, parts: Components, own: Mapping[str, Any], at: PathField, common: Mapping[str, Any]
    ) -> None:
        self._parts = parts
        self._table: dict[str, Any] = {}
        self._places: dict[str, PathField] = {}
        replaced = _CERTIFICATE if "client_certificate" in own else ()
        for table, place in ((common, ("network",)), (own, at)):
            for key in NetworkTable().fields:
                if key in table and not (table is common and key in replaced):
                    self._table[key], self._places[key] = table[key], (*place, key)

    def transport(
        self, timeout: float, trust: Mapping[str, Any] = MappingProxyType({})
    ) -> RequestsTransport:
        """Return a transport with these settings.

        Args:
            timeout: Seconds for one call.
            trust: The transport's ``ca_bundle`` and ``setting_names`` if the file has none.

        Raises:
            ConfigurationError: a setting cannot work; names file, line and key, or the variable.
        """
        from grantway._transport.transport import RequestsTransport  # noqa: PLC0415 - slow to load

        options = self._options()
        if "ca_bundle" not in options and trust:
            names = {**options["setting_names"], **trust["setting_names"]}
            options |= {**trust, "setting_names": names}
        try:
            return RequestsTransport.within(timeout, **options)
        except ConfigurationError as error:
            failed = error
        raise self._told(failed)

    def upstream(self) -> Network | None:
        """Return the trust and certificate of connections that use no proxy, if any is set.

        Raises:
            ConfigurationError: as for ``transport``.
        """
        from grantway._transport.network import Network  # noqa: PLC0415 - slow to load

        options = {**self._options(), "proxies": {}, "no_proxy": ""}
        names = options.pop("setting_names")
        try:
            found = Network(**options, names=names)
        except ConfigurationError as error:
            failed = error
        else:
            return found if found.trusted or found.certificate else None
        raise self._told(failed)

    def _options(self) -> dict[str, Any]:
        """The settings as arguments of a transport."""
        table = self._table
        options: dict[str, Any] = {
            "setting_names": {
                _ARGUMENTS.get(key, key): f"{'.'.join(place)} in {self._parts.file}"
                for key, place in self._places.items()
            }
        }
        for key in ("no_proxy", "trust_env"):
            if key in table:
                options[key] = table[key]
        if "proxy" in table:  # empty for none, whatever stands in [network]
            options["proxies"] = table["proxy"] or {}
        if "ca_bundle" in table:
            options["ca_bundle"] = str(self._parts.path(table["ca_bundle"]))
        if "client_certificate" in table:
            certificate = str(self._parts.path(table["client_certificate"]))
            key_file = table.get("client_key")
            options["client_certificate"] = (
                certificate if key_file is None else (certificate, str(self._parts.path(key_file)))
            )
        for name in _PASSWORDS:
            if name in table:
                options["client_key_password"] = self._parts.secret_in(
                    table, self._places[name][:-1], name
                )
        return options

    def _told(self, error: ConfigurationError) -> ConfigurationError:
        """The error with file and line, where a key of the file is wrong."""
        keys = {_ARGUMENTS.get(key, key): place for key, place in self._places.items()}
        keys.setdefault("client_key_password", keys.get("client_certificate", ()))
        keys.setdefault("client_key", keys.get("client_certificate", ()))
        mistakes = [
            (place, rule if place[-1] == _key_of(name, place) else f"{name} {rule}")
            for name, rules in error.errors.items()
            if (place := keys.get(name))
            for rule in rules
        ]
        return self._parts.wrong(mistakes) if mistakes else error


def _key_of(argument: str, place: PathField) -> str:
    """The key that an argument has in the file."""
    return place[-1] if _ARGUMENTS.get(place[-1], place[-1]) == argument else argument
