"""Settings for calls of AWS's services, from the environment and ``~/.aws/config``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway_plugins._paths import expand

from .config_file import Sections, config_path, credentials_path, nested, read_sections

#: Environment variable that has precedence over each setting, as in botocore.
_VARIABLES = {
    "region": "AWS_DEFAULT_REGION",
    "use_fips_endpoint": "AWS_USE_FIPS_ENDPOINT",
    "use_dualstack_endpoint": "AWS_USE_DUALSTACK_ENDPOINT",
    "ignore_configured_endpoint_urls": "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "retry_mode": "AWS_RETRY_MODE",
    "max_attempts": "AWS_MAX_ATTEMPTS",
    "ca_bundle": "AWS_CA_BUNDLE",
}
_ENDPOINT_URL = "endpoint_url"
#: ``endpoint_url`` for this service only, in the section that ``services`` names.
_SERVICE, _SERVICE_URL = "sso_oidc", "sso_oidc.endpoint_url"
#: Settings to keep. The others are dropped, because they may be AWS credentials.
_KEPT = frozenset({*_VARIABLES, _ENDPOINT_URL})


@dataclass(frozen=True, slots=True)
class Settings(Value):
    """The settings of one profile. The environment has precedence, as in botocore.

    Attributes:
        values: Settings of the profile, without the environment.
    """

    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, name: str) -> str | None:
        """Return a setting from the environment, or from the profile."""
        found = os.environ.get(_VARIABLES[name])
        return self.values.get(name) if found is None else found

    def flag(self, name: str) -> bool:
        """Return whether a setting is ``true``, in any case of letters."""
        return (self.get(name) or "").lower() == "true"

    @property
    def trust(self) -> dict[str, Any]:
        """Arguments of a transport for ``ca_bundle``; empty if it is not set."""
        path = self.get("ca_bundle")
        if not path:
            return {}
        variable = _VARIABLES["ca_bundle"]
        named = variable if os.environ.get(variable) else "ca_bundle of the AWS profile"
        return {
            "ca_bundle": expand(path, f"{named} to an absolute path"),
            "setting_names": {"ca_bundle": named},
        }

    @property
    def endpoint_url(self) -> str | None:
        """Configured address of the service, or None."""
        env = os.environ.get
        return (
            env("AWS_ENDPOINT_URL_SSO_OIDC")
            or env("AWS_ENDPOINT_URL")
            or self.values.get(_SERVICE_URL)
            or self.values.get(_ENDPOINT_URL)
        )


def read_settings() -> Settings:
    """Read the settings of ``AWS_DEFAULT_PROFILE``, ``AWS_PROFILE`` or ``default``, as boto3 does.

    Raises:
        ConfigurationError: A file cannot be read, or the profile does not exist.
    """
    env = os.environ.get
    named = env("AWS_DEFAULT_PROFILE") or env("AWS_PROFILE")
    sections = _read("AWS_CONFIG_FILE", config_path)
    credentials = _read("AWS_SHARED_CREDENTIALS_FILE", credentials_path)
    profiles = {**credentials.others, **credentials.profiles}
    if named and named not in sections.profiles and named not in profiles:
        raise ConfigurationError(
            f"{sections.path}: no section [profile {named}], which AWS_PROFILE or "
            "AWS_DEFAULT_PROFILE names. Add it, or change the variable."
        )
    profile = named or "default"
    return profile_settings(sections, profile, profiles.get(profile, {}))


def _read(variable: str, path_of: Callable[[], Path]) -> Sections:
    try:
        path = path_of()
    except ConfigurationError:
        if os.environ.get(variable):
            raise
        # Like boto3, ignore the files if there is no home directory.
        return Sections(Path(variable))
    return read_sections(path, missing_ok=True)


def profile_settings(sections: Sections, profile: str, beside: Mapping[str, str]) -> Settings:
    """Return the settings of a profile.

    Args:
        sections: Sections of the configuration file.
        profile: Name of the profile.
        beside: Settings of the profile in the credentials file, which have precedence.

    Raises:
        ConfigurationError: The profile names a ``[services]`` section that does not exist.
    """
    section = {**sections.profiles.get(profile, {}), **beside}
    kept = {name: text for name, text in section.items() if name in _KEPT}
    services = section.get("services")
    if services is not None:
        if services not in sections.services:
            raise ConfigurationError(
                f"{sections.path}: profile {profile}: services names a section "
                f"[services {services}], which is missing. Add it, or remove the line."
            )
        own = nested(sections.services[services].get(_SERVICE, ""))
        if own.get(_ENDPOINT_URL):
            kept[_SERVICE_URL] = own[_ENDPOINT_URL]
    return Settings(MappingProxyType(kept))
