"""Network settings of a file: proxy, trusted certificates and client certificate.

Profiles, the providers of a gateway, and the table ``[network]`` with their defaults have the same
keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from marshmallow import ValidationError, fields, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._types.fields import Text
from grantway._wire.shapes import flag

from .secret_field import SecretField
from .toml_file import KeyPath, Mistake, TableSchema, mistakes_of

if TYPE_CHECKING:
    from grantway._transport.network import Network
    from grantway._transport.transport import HttpTransport

    from .components import Components

_PASSWORD = "client_key_password"
#: Keys that describe one certificate. A table with its own certificate inherits none of them.
_CERTIFICATE = ("client_certificate", "client_key", _PASSWORD)
#: Arguments of ``Network`` that can be checked independently of each other.
_GROUPS = (
    ("ca_bundle",),
    ("proxies", "no_proxy"),
    ("client_certificate", _PASSWORD),
)
#: Argument of the transport for each key whose name differs.
_ARGUMENTS = {"proxy": "proxies"}


class TlsTable(TableSchema):
    """Trusted certificates and the client certificate of a connection."""

    ca_bundle = Text(example='"ca.pem"')
    client_certificate = Text(example='"client.pem"')
    client_key = Text(example='"client.key"')
    client_key_password = SecretField()

    @validates_schema
    def check_certificate(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a key or password without a certificate."""
        errors = {
            name: ["needs client_certificate beside it"]
            for name in _CERTIFICATE[1:]
            if name in data and "client_certificate" not in data
        }
        if errors:
            raise ValidationError(cast("dict[str, Any]", errors))


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
    """Network settings of an OAuth client."""

    proxy = fields.String(
        error_messages={"invalid": 'must be an address, like "http://proxy.example.com:3128"'}
    )
    no_proxy = fields.String(
        error_messages={"invalid": 'must be hosts, like "localhost,.example.com"'}
    )
    trust_env = TrustEnvironment()


class NetworkSettings:
    """The network settings of one profile, provider or route.

    Args:
        components: Components of the file; read its secrets.
        own: The table of the profile, provider or route, validated.
        at: Path of that table in the file.
        common: The table ``[network]``, validated; provides the settings missing in ``own``.
    """

    def __init__(
        self,
        components: Components,
        own: Mapping[str, Any],
        at: KeyPath,
        common: Mapping[str, Any],
    ) -> None:
        self._components = components
        self._table: dict[str, Any] = {}
        self._places: dict[str, KeyPath] = {}
        replaced = _CERTIFICATE if "client_certificate" in own else ()
        for table, place in ((common, ("network",)), (own, at)):
            for key in NetworkTable().fields:
                if key in table and not (table is common and key in replaced):
                    self._table[key], self._places[key] = table[key], (*place, key)

    def transport(
        self, timeout: float, trust: Mapping[str, Any] = MappingProxyType({}), **limits: Any
    ) -> HttpTransport:
        """Return a transport with these settings.

        Args:
            timeout: Timeout of one call in seconds.
            trust: Default for the transport's ``ca_bundle`` and ``setting_names``.
            **limits: Other arguments of the transport, such as ``max_response``.

        Raises:
            ConfigurationError: Settings are unusable. The message lists all of them, with file,
                line and key, or names the environment variable.
        """
        from grantway._transport.transport import HttpTransport  # noqa: PLC0415 - slow to load

        options, mistakes = self._options()
        if "ca_bundle" not in options and trust:
            names = {**options["setting_names"], **trust["setting_names"]}
            options |= {**trust, "setting_names": names}
        failed = None
        if not mistakes:
            try:
                return HttpTransport.within(timeout, **options, **limits)
            except ConfigurationError as error:
                failed = error
        raise self._error(options, mistakes, failed)

    def upstream(self) -> Network | None:
        """Return the certificates for connections without a proxy, or None if none are set.

        Raises:
            ConfigurationError: As for ``transport``.
        """
        from grantway._transport.network import Network  # noqa: PLC0415 - slow to load

        options, mistakes = self._options()
        options |= {"proxies": {}, "no_proxy": ""}
        names = options.pop("setting_names")
        failed = None
        if not mistakes:
            try:
                found = Network(**options, names=names)
            except ConfigurationError as error:
                failed = error
            else:
                return found if found.trusted or found.certificate else None
        raise self._error(options, mistakes, failed)

    def _options(self) -> tuple[dict[str, Any], list[Mistake]]:
        """Return the arguments of a transport, and the mistakes in the password's source."""
        table, components = self._table, self._components
        options: dict[str, Any] = {
            "setting_names": {
                _ARGUMENTS.get(key, key): f"{'.'.join(place)} in {components.file}"
                for key, place in self._places.items()
            }
        }
        for key in ("no_proxy", "trust_env"):
            if key in table:
                options[key] = table[key]
        if "proxy" in table:  # an empty address disables the proxy of [network]
            options["proxies"] = table["proxy"] or {}
        if "ca_bundle" in table:
            options["ca_bundle"] = str(components.path(table["ca_bundle"]))
        if "client_certificate" in table:
            certificate = str(components.path(table["client_certificate"]))
            key_file = table.get("client_key")
            options["client_certificate"] = (
                certificate if key_file is None else (certificate, str(components.path(key_file)))
            )
        mistakes: list[Mistake] = []
        if _PASSWORD in table:
            place = self._places[_PASSWORD]
            try:
                options[_PASSWORD] = components.read_secret(table[_PASSWORD], place)
            except ConfigurationError as error:
                mistakes += mistakes_of(error)
        return options, mistakes

    def _error(
        self, options: Mapping[str, Any], mistakes: list[Mistake], failed: ConfigurationError | None
    ) -> ConfigurationError:
        """Return an error with every mistake in the file; ``failed`` if there are none."""
        from grantway._transport.network import Network  # noqa: PLC0415 - slow to load

        for group in _GROUPS:
            chosen = {name: options[name] for name in group if name in options}
            try:
                Network(**chosen, trust_env=False)
            except ConfigurationError as error:
                known = {path for path, _ in mistakes}
                mistakes += [each for each in self._located(error) if each[0] not in known]
        if (mistake := self._key_mistake(options)) and mistake not in mistakes:
            mistakes.append(mistake)
        if not mistakes and failed is not None:
            mistakes = self._located(failed)
            if not mistakes:
                return failed
        return self._components.wrong(mistakes)

    def _key_mistake(self, options: Mapping[str, Any]) -> Mistake | None:
        """Return the mistake if the private key cannot be read."""
        certificate = options.get("client_certificate")
        if not isinstance(certificate, tuple):
            return None
        try:
            Path(certificate[1]).open("rb").close()
        except OSError as error:
            rule = f"{certificate[1]} cannot be used ({error.strerror})"
            return self._places["client_key"], rule
        return None

    def _located(self, error: ConfigurationError) -> list[Mistake]:
        """Return the mistakes of an error of the transport, with their keys in the file."""
        keys = {_ARGUMENTS.get(key, key): place for key, place in self._places.items()}
        keys.setdefault(_PASSWORD, keys.get("client_certificate", ()))
        keys.setdefault("client_key", keys.get("client_certificate", ()))
        return [
            (place, rule if place[-1] == _key_of(name, place) else f"{name} {rule}")
            for name, rules in error.errors.items()
            if (place := keys.get(name))
            for rule in rules
        ]


def _key_of(argument: str, place: KeyPath) -> str:
    """Return the key in the file that an argument comes from."""
    return place[-1] if _ARGUMENTS.get(place[-1], place[-1]) == argument else argument
