"""``grantway serve``: run the embedded issuer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway_plugins.issuer import (
    ClientDocuments,
    IssuerSettings,
    Resource,
    _audit_log as audit_log,
    serve,
)
from grantway_plugins.issuer._aws_portal.accounts_file import read_accounts
from grantway_plugins.issuer._config import IssuerFile, Options
from grantway_plugins.issuer._config.table import Part
from grantway_plugins.issuer._settings import INTERACTIVE
from grantway_plugins.issuer._storage.database import default_path
from grantway_plugins.issuer._trust.trust_file import read_trusted_issuers
from grantway_plugins.server import Limits
from grantway_plugins.server._log_format import LOG_FORMATS, LogFormat, log_to_stderr
from grantway_plugins.server._tls.certificate import logger as tls_log

from .issuer_database import IssuerDatabase, database_options, read_secret

Command = TypeVar("Command", bound=Callable[..., Any])

_SETTINGS = IssuerSettings()
_LIFETIMES = _SETTINGS.lifetimes
_LIMITS = Limits()
_LIMIT_NAMES = frozenset(each.name for each in fields(Limits))
#: Options whose name differs from the setting's.
_OPTIONS = {
    "cors_origins": "--cors-origin",
    "signing_keys": "--signing-key",
    "resources": "--resource",
    "scope_descriptions": "--scope-description",
    "registration_token": "--registration-token-env or --registration-token-file",
    "registration_grant_types": "--registration-grant-type",
    "registration_scopes": "--registration-scope",
    "trusted_issuers": "--trust",
    "aws_accounts": "--aws-portal",
    "trusted_proxies": "--trusted-proxy",
}
#: Options with the path of a file, and the setting that its content is.
_READERS: dict[str, tuple[str, Callable[[Path], tuple[Any, ...]]]] = {
    "aws_portal": ("aws_accounts", read_accounts),
    "trust": ("trusted_issuers", read_trusted_issuers),
}
#: Options that are arguments of ``serve``.
_SERVER = frozenset(
    {
        "host",
        "port",
        "durability",
        "trusted_proxies",
        "insecure_http",
        "tls_certificate",
        "tls_key",
    }
)


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


def _resources(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> tuple[Resource, ...]:
    """Return the resources with these URLs."""
    try:
        return tuple(Resource(url) for url in given)
    except ConfigurationError as error:
        rule = error.errors["url"][0]
    raise click.BadParameter(rule)


@click.command(name="serve")
@click.option(
    "--config",
    type=click.Path(),
    default=None,
    help="TOML file with settings. Options of the command line override it.",
)
@click.option(
    "--check", "only_check", is_flag=True, help="Report the mistakes in the settings, and exit."
)
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
    "--tls-certificate",
    type=click.Path(),
    default=None,
    help="PEM file with a certificate for TLS, read again when it changes.",
)
@click.option(
    "--tls-key",
    type=click.Path(),
    default=None,
    help="PEM file with the private key of the certificate. Default: the same file.",
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
    "--resource",
    "resources",
    metavar="URL",
    multiple=True,
    callback=_resources,
    help="Protected resource for which clients may request tokens. Repeatable. Default: any.",
)
@click.option(
    "--client-documents",
    is_flag=True,
    default=None,
    callback=lambda _context, _option, given: ClientDocuments() if given else None,
    help="Accept clients whose id is the URL of a Client ID Metadata Document.",
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
def command(
    config: str | None,
    only_check: bool,
    database: IssuerDatabase,
    log_format: LogFormat,
    **values: Any,
) -> None:
    """Run the embedded issuer until Ctrl-C or SIGTERM.

    The issuer serves RFC 6749 clients and AWS SSO-OIDC clients on one port. It prints its address
    when it is ready.
    """
    ctx = click.get_current_context()
    file = None if config is None else IssuerFile(config)
    if file is not None and not _is_given(ctx, "log_format"):
        log_format = file.log_format or log_format
    log_to_stderr(log_format)
    audit_log.logger.setLevel(logging.INFO)
    tls_log.setLevel(logging.INFO)
    flags = _flags({name: value for name, value in values.items() if _is_given(ctx, name)})
    if database.is_given:
        flags["server"]["database"] = database.url()
    options = Options(flags, _flag_of, file)
    settings, server = options.build()
    server.pop("log_format", None)
    server.setdefault("database", default_path())
    if only_check:
        click.echo("The settings are valid" if file is None else f"{file.toml.path} is valid")
        return
    try:
        serve(settings, **server)
    except ConfigurationError as error:
        raise options.explained(error) from None


def _is_given(ctx: click.Context, name: str) -> bool:
    """Return whether an option is set on the command line, so that it overrides the file."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _flags(given: dict[str, Any]) -> dict[Part, dict[str, Any]]:
    """Return the given options of the command line by part and name."""
    flags: dict[Part, dict[str, Any]] = {each: Params() for each in get_args(Part)}
    token = [given.pop(f"registration_token_{each}", None) for each in ("env", "file")]
    if any(each is not None for each in token):
        flags["settings"]["registration_token"] = read_secret("registration-token", *token)
    for name, value in given.items():
        if name in _READERS:
            option, read = _READERS[name]
            flags["settings"][option] = read(value)
        elif name in _LIMIT_NAMES:
            flags["limits"][name] = value
        elif name in _SERVER:
            flags["server"][name] = value
        elif name.endswith("_seconds"):
            flags["lifetimes"][name.removesuffix("_seconds")] = value
        else:
            flags["settings"][name] = value
    return flags


def _flag_of(part: Part, name: str) -> str:
    """Return the option of the command line for an option of the issuer."""
    if part == "lifetimes":
        return f"--{name.replace('_', '-')}-seconds"
    return _OPTIONS.get(name) or f"--{name.replace('_', '-')}"
