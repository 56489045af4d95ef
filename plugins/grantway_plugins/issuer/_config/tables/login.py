"""``[login]``: how users log in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from grantway._exceptions import ConfigurationError
from grantway_plugins._config.fields import PathField
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins.issuer._config.table import IssuerTable, Place, Texts, text
from grantway_plugins.issuer._login.settings import OpenIDLogin, PluginLogin


class LoginTable(IssuerTable):
    """``[login]``: the settings of ``OpenIDLogin``, or a plugin's login with its options."""

    table = "login"

    issuer = text()
    client_id = text()
    client_secret = SecretField()
    token_endpoint_auth_method = text()
    scopes = Texts("openid")
    subject_claim = text()
    subject_prefix = text()
    allow = fields.Raw()  # OpenIDLogin checks these
    userinfo = fields.Raw()
    parameters = fields.Raw()
    prompts = fields.Raw()
    ca_bundle = PathField()
    provider_logout = fields.Raw()
    plugin = text()
    options = fields.Raw()

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the login of this table."""
        if "plugin" in values:
            return {"login": _plugin_login(values)}
        for key, rule in (
            ("options", "requires plugin, the name of a login that a plugin registered"),
            ("issuer", "is missing; give the URL of an OpenID provider, or plugin"),
            ("client_id", "is missing; register the issuer at the provider"),
        ):
            if (key in values) is (key == "options"):
                raise _wrong(key, rule)
        given = dict(values)
        allow = given.get("allow")
        if isinstance(allow, Mapping):
            given["allow"] = {
                claim: tuple(accepted) if isinstance(accepted, list) else accepted
                for claim, accepted in allow.items()
            }
        return {"login": OpenIDLogin(**given)}


def _plugin_login(values: Mapping[str, Any]) -> PluginLogin:
    for key in values:
        if key not in {"plugin", "options"}:
            raise _wrong(key, "cannot be combined with plugin; pass it in options")
    return PluginLogin(values["plugin"], values.get("options", {}))


def _wrong(key: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{key} {rule}", errors={key: [rule]})
