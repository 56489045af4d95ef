"""Where AWS's SSO-OIDC is, for whoever asks."""

from __future__ import annotations

import os
import re

from grantway.provider import Provider

from .plugin import AWS_SSO_OIDC

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


def is_region(name: str) -> bool:
    """Whether it looks like the name of an AWS region, such as ``eu-west-1``."""
    return _REGION.fullmatch(name) is not None


def endpoint_of(region: str, endpoint_url: str | None = None) -> str:
    """The address of the service.

    Args:
        region: The AWS region.
        endpoint_url: Another address; by default ``AWS_ENDPOINT_URL_SSO_OIDC``,
            ``AWS_ENDPOINT_URL``, or the region's own.
    """
    env = os.environ.get
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return (
        endpoint_url
        or env("AWS_ENDPOINT_URL_SSO_OIDC")
        or env("AWS_ENDPOINT_URL")
        or f"https://oidc.{region}.{suffix}"
    )


def provider_at(endpoint_url: str) -> Provider:
    """The service at an address, as a provider."""
    base = endpoint_url.rstrip("/")
    return Provider(
        token_endpoint=f"{base}/token",
        authorization_endpoint=f"{base}/authorize",
        device_authorization_endpoint=f"{base}/device_authorization",
        registration_endpoint=f"{base}/client/register",
        dialect=AWS_SSO_OIDC,
    )
