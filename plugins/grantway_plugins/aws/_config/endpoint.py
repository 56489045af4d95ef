"""The endpoint of AWS's SSO-OIDC service."""

from __future__ import annotations

import re
from difflib import get_close_matches

from grantway._exceptions import ConfigurationError
from grantway._requests.provider import Provider
from grantway_plugins.aws._dialect import AWS_SSO_OIDC

from .regions import regions
from .settings import Settings

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


def is_region(name: str) -> bool:
    """Return whether a name has the form of an AWS region, such as ``eu-west-1``."""
    return _REGION.fullmatch(name) is not None


def endpoint_of(
    region: str,
    endpoint_url: str | None = None,
    settings: Settings | None = None,
    *,
    fips: bool | None = None,
    dual_stack: bool | None = None,
    ignore_configured: bool | None = None,
    scheme: str = "https",
    named: str = "region_name",
) -> str:
    """Return the address of the service, chosen as botocore chooses it.

    Args:
        region: AWS region.
        endpoint_url: Address that has precedence over all settings.
        settings: Settings of the profile; by default, only the environment is used.
        fips: Whether to use the FIPS endpoint; by default ``AWS_USE_FIPS_ENDPOINT`` or the
            profile's ``use_fips_endpoint``.
        dual_stack: Whether to use the dual-stack endpoint; by default
            ``AWS_USE_DUALSTACK_ENDPOINT`` or ``use_dualstack_endpoint``.
        ignore_configured: Whether to ignore configured addresses; by default
            ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`` or ``ignore_configured_endpoint_urls``.
        scheme: Scheme of the region's address.
        named: Name of the region's setting, for errors.

    Raises:
        ConfigurationError: The region is unknown, or has no endpoint of this kind.
    """
    settings = settings or Settings()
    if ignore_configured is None:
        ignore_configured = settings.flag("ignore_configured_endpoint_urls")
    configured = None if ignore_configured else settings.endpoint_url
    if endpoint_url or configured:
        return endpoint_url or configured or ""
    partition = regions().get(region)
    if partition is None:
        raise _unknown(region, named)
    fips = settings.flag("use_fips_endpoint") if fips is None else fips
    dual_stack = settings.flag("use_dualstack_endpoint") if dual_stack is None else dual_stack
    for wanted, offered, kind in (
        (fips, partition.fips, "FIPS"),
        (dual_stack, partition.dual_stack, "dual-stack"),
    ):
        if wanted and not offered:
            raise ConfigurationError(
                f"{named}: the partition {partition.name} has no {kind} endpoints. Disable them, "
                "or give the address as endpoint_url."
            )
    return f"{scheme}://{partition.host(region, fips=fips, dual_stack=dual_stack)}"


def _unknown(region: str, named: str) -> ConfigurationError:
    near = get_close_matches(region, regions(), n=3)
    meant = f" Did you mean {', '.join(near)}?" if near else ""
    return ConfigurationError(
        f"{named}: {region!a:.80} is not a known AWS region.{meant} Install a newer botocore, or "
        "give the service's address as endpoint_url.",
        errors={named: ["must be a known AWS region"]},
    )


def provider_at(endpoint_url: str) -> Provider:
    """Return the service at an address as a provider."""
    base = endpoint_url.rstrip("/")
    return Provider(
        token_endpoint=f"{base}/token",
        authorization_endpoint=f"{base}/authorize",
        device_authorization_endpoint=f"{base}/device_authorization",
        registration_endpoint=f"{base}/client/register",
        dialect=AWS_SSO_OIDC,
    )
