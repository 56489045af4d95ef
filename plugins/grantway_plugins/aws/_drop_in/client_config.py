"""Read the arguments of ``aws.client``, which are those of ``boto3.client``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway._transport.http import require_secure
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
from grantway_plugins.aws._config.endpoint import endpoint_of
from grantway_plugins.aws._config.settings import Settings, read_settings

from .model import API_VERSION

if TYPE_CHECKING:
    from botocore.config import Config

#: Maximum number of attempts in each retry mode. ``adaptive`` is the same as ``standard`` here.
_ATTEMPTS = {"standard": 3, "adaptive": 3, "legacy": 5}
#: Seconds used for a timeout of None, which means no timeout in botocore.
_NO_TIMEOUT = 86_400.0
#: Default timeout of a call in seconds, without ``config``.
TIMEOUT = 60.0
#: Longest delay before a retry in seconds, as in botocore.
LONGEST_WAIT = 20.0
_CONNECT_TIMEOUT, _READ_TIMEOUT = 5.0, 20.0


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The configuration of a client.

    Attributes:
        region_name: AWS region.
        endpoint_url: Address of the service.
        attempts: Maximum number of attempts, including the first.
        connect_timeout: Timeout for connecting in seconds.
        read_timeout: Timeout for reading from the connection in seconds.
        timeout: Timeout of a call in seconds, including retries.
        pool_size: Number of connections to keep open.
        client_certificate: Path of a file with certificate and key, or both paths, or None.
        network: Trusted certificates and proxies, as arguments of the transport. The transport
            reads missing ones from the environment.
        user_agent: Function that replaces or extends the User-Agent header.
        credentials: Returns the AWS credentials for CreateTokenWithIAM; None for botocore's.
        given: The ``config`` passed by the caller.
    """

    region_name: str
    endpoint_url: str
    attempts: int
    connect_timeout: float
    read_timeout: float
    timeout: float
    pool_size: int
    client_certificate: str | tuple[str, str] | None
    network: Params = field(repr=False)
    user_agent: Callable[[str], str]
    credentials: Callable[[], Any] | None = field(repr=False)
    given: Config | None = field(repr=False)


def client_config(
    region_name: str | None,
    endpoint_url: str | None,
    *,
    api_version: str | None,
    use_ssl: bool,
    verify: bool | str | None,
    credentials: Callable[[], Any] | None,
    config: Config | None,
    timeout: float | None,
) -> ClientConfig:
    """Read the arguments, the environment and ``~/.aws/config`` as boto3 does.

    Raises:
        ConfigurationError: An argument or setting is invalid or not supported; names it.
    """
    settings = read_settings()
    if config is not None and not hasattr(config, "_user_provided_options"):
        raise _refused("config", "must be a botocore.config.Config")
    option = _Options(config)
    if api_version not in (None, API_VERSION):
        raise _refused("api_version", f"must be {API_VERSION}, the only version")
    region, fips = _region(region_name, option, settings)
    url = endpoint_of(
        region,
        endpoint_url,
        settings,
        fips=True if fips else option("use_fips_endpoint"),
        dual_stack=option("use_dualstack_endpoint"),
        ignore_configured=option("ignore_configured_endpoint_urls"),
        scheme="https" if use_ssl else "http",
    )
    require_secure(url, "endpoint_url")
    attempts = _attempts(option, settings)
    connect_timeout = _seconds("connect_timeout", option, _CONNECT_TIMEOUT)
    read_timeout = _seconds("read_timeout", option, _READ_TIMEOUT)
    if timeout is None:
        whole = attempts * (connect_timeout + read_timeout + LONGEST_WAIT)
        timeout = TIMEOUT if config is None else whole
    check_seconds("timeout", timeout)
    _check_unsupported(option)
    return ClientConfig(
        region_name=region,
        endpoint_url=url,
        attempts=attempts,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        timeout=timeout,
        pool_size=_pool_size(option),
        client_certificate=option("client_cert"),
        network=Params(**_trust(verify, settings), **_proxies(option)),
        user_agent=_user_agent(option),
        credentials=credentials,
        given=config,
    )


class _Options:
    """The options of a ``botocore.config.Config``; all None without one."""

    def __init__(self, config: Config | None) -> None:
        self._config = config

    def __call__(self, name: str) -> Any:
        return getattr(self._config, name, None)

    @property
    def given(self) -> bool:
        return self._config is not None


def _region(region_name: str | None, option: _Options, settings: Settings) -> tuple[str, bool]:
    """Return the region, and whether it is a legacy name for its FIPS endpoint."""
    region = (
        region_name
        or option("region_name")
        or settings.get("region")
        or os.environ.get("AWS_REGION")
    )
    if not region:
        raise _refused(
            "region_name",
            'must be an AWS region, like "eu-west-1"; give it here, in AWS_DEFAULT_REGION, or as '
            "region in the profile",
        )
    plain = region.removeprefix("fips-").removesuffix("-fips")
    return plain, plain != region


def _attempts(option: _Options, settings: Settings) -> int:
    retries: Mapping[str, Any] = option("retries") or {}
    mode = retries.get("mode") or settings.get("retry_mode") or "standard"
    if mode not in _ATTEMPTS:
        raise _refused("retry_mode", f"must be one of {', '.join(_ATTEMPTS)}")
    if "total_max_attempts" in retries:
        attempts = retries["total_max_attempts"]
    elif "max_attempts" in retries:  # which does not count the first send
        attempts = retries["max_attempts"] + 1
    else:
        attempts = settings.get("max_attempts")
        if attempts is None:
            return _ATTEMPTS[mode]
    if isinstance(attempts, str) and attempts.strip().isdecimal():  # from the environment or file
        attempts = int(attempts[:10])
    check_count("max_attempts (AWS_MAX_ATTEMPTS)", attempts)
    return int(attempts)


def _pool_size(option: _Options) -> int:
    found = option("max_pool_connections") or 10
    check_count("config.max_pool_connections", found, most=MOST_CONNECTIONS)
    return int(found)


def _seconds(name: str, option: _Options, usual: float) -> float:
    if not option.given:
        return usual
    found = option(name)
    if found is None:
        return usual if name == "connect_timeout" else _NO_TIMEOUT
    check_seconds(f"config.{name}", found)
    return float(found)


def _trust(verify: bool | str | None, settings: Settings) -> dict[str, Any]:
    """Return the trusted certificates, as arguments of the transport."""
    if verify is False:
        raise _refused(
            "verify",
            "cannot be False, because any server could then read the secrets; give the path of "
            "the CA's certificates",
        )
    if verify is True:
        from requests.utils import DEFAULT_CA_BUNDLE_PATH  # noqa: PLC0415 - slow to load

        # In botocore, True ignores the environment.
        return {"ca_bundle": DEFAULT_CA_BUNDLE_PATH, "setting_names": {"ca_bundle": "verify"}}
    if verify is not None:
        if not isinstance(verify, (str, os.PathLike)) or not os.fspath(verify):
            raise _refused("verify", "must be the path of the CA's certificates, or True")
        return {"ca_bundle": verify, "setting_names": {"ca_bundle": "verify"}}
    return settings.trust


def _check_unsupported(option: _Options) -> None:
    if option("parameter_validation") is False:
        raise _refused(
            "config.parameter_validation", "cannot be False: parameters are always checked"
        )
    for name, value in (option("proxies_config") or {}).items():
        if value:
            raise _refused(
                f"config.proxies_config[{name!r}]",
                "is not supported: TLS to the proxy cannot be configured",
            )


def _proxies(option: _Options) -> dict[str, Any]:
    """Return the proxies of ``config``, as arguments of the transport for every host."""
    given = option("proxies")
    return {} if given is None else {"proxies": given, "no_proxy": ""}


def _user_agent(option: _Options) -> Callable[[str], str]:
    whole, extra, app = (
        option("user_agent"),
        option("user_agent_extra"),
        option("user_agent_appid"),
    )
    for name, part in (
        ("user_agent", whole),
        ("user_agent_extra", extra),
        ("user_agent_appid", app),
    ):
        if part and not (isinstance(part, str) and part.isascii() and part.isprintable()):
            raise _refused(f"config.{name}", "must be text of printable ASCII characters")

    def change(ours: str) -> str:
        parts = [whole or ours, extra, f"app/{app}" if app and not whole else ""]
        return " ".join(part for part in parts if part)

    return change


def _refused(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: {rule}.", errors={name: [rule]})
