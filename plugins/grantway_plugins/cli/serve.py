"""``grantway serve``: run the embedded issuer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerSettings, Lifetimes, _audit_log as audit_log, serve
from grantway_plugins.issuer._aws_portal.accounts_file import read_accounts
from grantway_plugins.issuer._settings import INTERACTIVE
from grantway_plugins.issuer._trust.trust_file import read_trusted_issuers
from grantway_plugins.server import Limits
from grantway_plugins.server._log_format import LOG_FORMATS, LogFormat, log_to_stderr

from .issuer_database import IssuerDatabase, database_options, read_secret

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")

_SETTINGS = IssuerSettings()
_LIFETIMES = _SETTINGS.lifetimes
_LIMITS = Limits()
_LIMIT_NAMES = frozenset(each.name for each in fields(Limits))
#: Options whose name differs from the setting's.
_OPTIONS = {
    "cors_origins": "--cors-origin",
    "signing_keys": "--signing-key",
    "scope_descriptions": "--scope-description",
    "registration_token": "--registration-token-env or --registration-token-file",
    "registration_grant_types": "--registration-grant-type",
    "registration_scopes": "--registration-scope",
}


def _seconds(name: str, meaning: str) -> Callable[[Command], Command]:
    """Add an option for one lifetime, named after its field."""
    return click.option(
        f"--{name.replace('_', '-')}-seconds",
        type=float,
        default=getattr(_LIFETIMES, name),
        show_default=True,
        help=meaning,
    )


def _limit(name: str, meaning: str) -> Callable[[Command], Command]:
    """Add an option for one limit, named after its field."""
    default = getattr(_LIMITS, name)
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=type(default),
        default=default,
        show_default=True,
        help=meaning,
    )


def _descriptions(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    """Split each SCOPE=TEXT at its first equals sign."""
    descriptions: dict[str, str] = {}
    for each in given:
        scope, equals, text = each.partition("=")
        if not equals:
            raise click.BadParameter(f"{each!r}: write SCOPE=TEXT, like read=See your files")
        descriptions[scope] = text
    return descriptions


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8400, show_default=True, help="Port; 0 picks a free one.")
@database_options
@click.option(
    "--durability",
    type=click.Choice(["process", "power"]),
    default="process",
    show_default=True,
    help="Failures that issued tokens survive: a crash of the process, or also a power failure.",
)
@click.option(
    "--approve",
    type=click.Choice(["page", "auto"]),
    default="page",
    show_default=True,
    help="Approval of logins: by the user on a page, or automatic (loopback only).",
)
@click.option("--issuer", default=None, help="Public URL of the issuer, if it is behind a proxy.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    help="IP address or network of a proxy whose X-Forwarded-* headers to trust. Repeatable.",
)
@click.option(
    "--insecure-http",
    is_flag=True,
    help="Allow listening without TLS on an address that other machines can reach.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    help="Origin of web pages that may call the issuer, like https://app.example.com. Repeatable.",
)
@click.option(
    "--name", default=_SETTINGS.name, show_default=True, help="Name of the issuer on its pages."
)
@click.option(
    "--scope-description",
    "scope_descriptions",
    metavar="SCOPE=TEXT",
    multiple=True,
    callback=_descriptions,
    help="Description of a scope on the approval pages. Repeatable.",
)
@click.option(
    "--aws-portal",
    type=click.Path(path_type=Path),
    default=None,
    help="TOML file with AWS accounts and dummy credentials. Enables a test double of AWS's access "
    "portal.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    default=None,
    help="TOML file with other issuers, such as Kubernetes or GitHub Actions, whose tokens to "
    "accept.",
)
@click.option(
    "--signing-key",
    "signing_keys",
    type=click.Path(),
    multiple=True,
    help="PEM file with a private key for JWTs that other issuers accept. Repeatable; the first "
    "key signs.",
)
@click.option(
    "--registration",
    type=click.Choice(["open", "token", "off", "unrestricted"]),
    default=None,
    help="Clients that may register. open: all, within limits. token: holders of the initial "
    "access token. off: none. unrestricted: all, without limits (loopback only). Default: open "
    "on loopback; required on other addresses.",
)
@click.option(
    "--registration-token-env",
    default=None,
    metavar="NAME",
    help="Environment variable with the initial access token for --registration token.",
)
@click.option(
    "--registration-token-file",
    default=None,
    type=click.Path(dir_okay=False),
    help="File with the initial access token for --registration token.",
)
@click.option(
    "--registration-grant-type",
    "registration_grant_types",
    multiple=True,
    default=INTERACTIVE,
    help="Grant type that --registration open allows. Repeatable. Default: authorization_code, "
    "device_code and refresh_token.",
)
@click.option(
    "--registration-scope",
    "registration_scopes",
    multiple=True,
    help="Scope that --registration open allows. Repeatable. Default: any scope on loopback, "
    "sso:account:access elsewhere.",
)
@click.option(
    "--registration-rate",
    default=IssuerSettings.registration_rate,
    show_default=True,
    help="Registrations per minute that --registration open accepts from one address.",
)
@click.option(
    "--registration-limit",
    default=IssuerSettings.registration_limit,
    show_default=True,
    help="Maximum number of registrations that --registration open keeps.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    help="Format of the log and the audit log on standard error.",
)
@_seconds("access_token", "Lifetime of an access token.")
@_seconds("authorization_code", "Lifetime of an authorization code; at most 600.")
@_seconds("device_code", "Lifetime of a device code.")
@_seconds("device_interval", "Minimum time between two polls of a device.")
@_seconds("registration", "Lifetime of a client registration.")
@_seconds(
    "unused_registration", "Lifetime of an anonymous registration that never received a token."
)
@_seconds("refresh_family", "Lifetime of a login; refreshing does not extend it.")
@_seconds("refresh_reuse_window", "Time for which a replaced refresh token remains valid.")
@_limit("connections", "Maximum number of open connections.")
@_limit("connections_per_peer", "Maximum number of open connections from one address.")
@_limit("header_bytes", "Maximum size of a request line and its headers.")
@_limit("header_seconds", "Time limit for receiving the request line and headers.")
@_limit("body_seconds", "Time limit for receiving a body, or the form of a page.")
@_limit("idle_seconds", "Time for which a connection stays open between requests.")
@_limit("send_seconds", "Time limit for a client to read a response.")
@_limit("grace_seconds", "Time limit for requests in progress when the issuer stops.")
def command(  # noqa: PLR0917 - click passes options by name
    host: str,
    port: int,
    database: IssuerDatabase,
    durability: Literal["process", "power"],
    approve: Literal["page", "auto"],
    issuer: str | None,
    trusted_proxies: tuple[str, ...],
    insecure_http: bool,
    cors_origins: tuple[str, ...],
    name: str,
    scope_descriptions: dict[str, str],
    aws_portal: Path | None,
    trust: Path | None,
    signing_keys: tuple[str, ...],
    registration: Literal["open", "token", "off", "unrestricted"] | None,
    registration_token_env: str | None,
    registration_token_file: str | None,
    registration_grant_types: tuple[str, ...],
    registration_scopes: tuple[str, ...],
    registration_rate: int,
    registration_limit: int,
    log_format: LogFormat,
    **numbers: Any,
) -> None:
    """Run the embedded issuer until Ctrl-C or SIGTERM.

    The issuer serves RFC 6749 clients and AWS SSO-OIDC clients on one port. It prints its address
    when it is ready.
    """
    log_to_stderr(log_format)
    audit_log.logger.setLevel(logging.INFO)
    limits = {name: numbers.pop(name) for name in _LIMIT_NAMES}
    where = database.url()
    token = None
    if registration_token_env is not None or registration_token_file is not None:
        token = read_secret("registration-token", registration_token_env, registration_token_file)
    try:
        lifetimes = Lifetimes(
            **{name.removesuffix("_seconds"): value for name, value in numbers.items()}
        )
    except ConfigurationError as error:
        raise click.ClickException("; ".join(_rules(error, "-seconds"))) from None
    try:
        serve(
            IssuerSettings(
                issuer=issuer,
                approve=approve,
                lifetimes=lifetimes,
                cors_origins=cors_origins,
                name=name,
                scope_descriptions=scope_descriptions,
                aws_accounts=_read(read_accounts, aws_portal),
                trusted_issuers=_read(read_trusted_issuers, trust),
                signing_keys=signing_keys,
                registration=registration,
                registration_token=token,
                registration_grant_types=registration_grant_types,
                registration_scopes=registration_scopes or None,
                registration_rate=registration_rate,
                registration_limit=registration_limit,
            ),
            host=host,
            port=port,
            database=where,
            durability=durability,
            trusted_proxies=trusted_proxies,
            insecure_http=insecure_http,
            limits=Limits(**limits),
        )
    except ConfigurationError as error:
        message = error.message.replace("insecure_http", "--insecure-http")
        rules = "; ".join(_rules(error))
        if error.errors.keys() <= _LIMIT_NAMES | {"name", "scope_descriptions"}:
            raise click.ClickException(rules) from None
        raise click.ClickException(f"{message} ({rules})" if rules else message) from None


def _read(read: Callable[[Path], tuple[T, ...]], path: Path | None) -> tuple[T, ...]:
    """Read a file of an option, if it is given."""
    try:
        return () if path is None else read(path)
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None


def _rules(error: ConfigurationError, suffix: str = "") -> list[str]:
    """Return the broken rules, with the names of options instead of fields."""
    return [
        f"{_OPTIONS.get(name) or '--' + name.replace('_', '-') + suffix} {rule}"
        for name, rules in error.errors.items()
        for rule in rules
    ]
