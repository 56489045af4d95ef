"""The options of ``grantway serve``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import ClientDocuments, IssuerSettings, Resource
from grantway_plugins.issuer._settings import INTERACTIVE
from grantway_plugins.server import Limits
from grantway_plugins.server._log_format import LOG_FORMATS

from .issuer_database import database_options

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_PORT = 8400
_SETTINGS = IssuerSettings()
_LIFETIMES = _SETTINGS.lifetimes
_LIMITS = Limits()


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


_ALL: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--config",
        type=click.Path(),
        default=None,
        help="TOML file with settings. Options of the command line override it.",
    ),
    click.option(
        "--check", "only_check", is_flag=True, help="Report the mistakes in the settings, and exit."
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65_535),
        default=DEFAULT_PORT,
        show_default=True,
        help="Port; 0 picks a free one.",
    ),
    database_options,
    click.option(
        "--durability",
        type=click.Choice(["process", "power"]),
        default="process",
        show_default=True,
        help="Failures that issued tokens survive: a crash of the process, or also a power "
        "failure.",
    ),
    click.option(
        "--approve",
        type=click.Choice(["page", "auto"]),
        default="page",
        show_default=True,
        help="Approval of logins: by the user on a page, or automatic (loopback only).",
    ),
    click.option(
        "--issuer", default=None, help="Public URL of the issuer, if it is behind a proxy."
    ),
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        multiple=True,
        help="IP address or network of a proxy whose X-Forwarded-* headers to trust. Repeatable.",
    ),
    click.option(
        "--insecure-http",
        is_flag=True,
        help="Allow listening without TLS on an address that other machines can reach, and an http "
        "URL of the issuer.",
    ),
    click.option(
        "--tls-certificate",
        type=click.Path(),
        default=None,
        help="PEM file with a certificate for TLS, read again when it changes.",
    ),
    click.option(
        "--tls-key",
        type=click.Path(),
        default=None,
        help="PEM file with the private key of the certificate. Default: the same file.",
    ),
    click.option(
        "--metrics-port",
        type=click.IntRange(0, 65_535),
        default=None,
        help="Port of a separate listener for Prometheus metrics; 0 picks a free one. Default: "
        "none.",
    ),
    click.option(
        "--metrics-host",
        default="127.0.0.1",
        show_default=True,
        help="Address of the listener for metrics.",
    ),
    click.option(
        "--cors-origin",
        "cors_origins",
        multiple=True,
        help="Origin of web pages that may call the issuer, like https://app.example.com. "
        "Repeatable.",
    ),
    click.option(
        "--name", default=_SETTINGS.name, show_default=True, help="Name of the issuer on its pages."
    ),
    click.option(
        "--scope-description",
        "scope_descriptions",
        metavar="SCOPE=TEXT",
        multiple=True,
        callback=_descriptions,
        help="Description of a scope on the approval pages. Repeatable.",
    ),
    click.option(
        "--aws-portal",
        type=click.Path(path_type=Path),
        default=None,
        help="TOML file with AWS accounts and dummy credentials. Enables a test double of "
        "AWS's access "
        "portal.",
    ),
    click.option(
        "--trust",
        type=click.Path(path_type=Path),
        default=None,
        help="TOML file with other issuers, such as Kubernetes or GitHub Actions, whose tokens to "
        "accept.",
    ),
    click.option(
        "--signing-key",
        "signing_keys",
        type=click.Path(),
        multiple=True,
        help="PEM file with a private key that signs JWTs, instead of the keys in the database. "
        "Repeatable; the first key signs.",
    ),
    click.option(
        "--resource",
        "resources",
        metavar="URL",
        multiple=True,
        callback=_resources,
        help="Protected resource for which clients may request tokens. Repeatable. Default: any.",
    ),
    click.option(
        "--client-documents",
        is_flag=True,
        default=None,
        callback=lambda _context, _option, given: ClientDocuments() if given else None,
        help="Accept clients whose id is the URL of a Client ID Metadata Document.",
    ),
    click.option(
        "--access-token-format",
        type=click.Choice(["opaque", "jwt"]),
        default="opaque",
        show_default=True,
        help="Format of access tokens: opaque ones for introspection, or JWTs (RFC 9068).",
    ),
    click.option(
        "--registration",
        type=click.Choice(["open", "token", "off", "unrestricted"]),
        default=None,
        help="Clients that may register. open: all, within limits. token: holders of the initial "
        "access token. off: none. unrestricted: all, without limits (loopback only). Default: open "
        "on loopback; required on other addresses.",
    ),
    click.option(
        "--registration-token-env",
        default=None,
        metavar="NAME",
        help="Environment variable with the initial access token for --registration token.",
    ),
    click.option(
        "--registration-token-file",
        default=None,
        type=click.Path(dir_okay=False),
        help="File with the initial access token for --registration token.",
    ),
    click.option(
        "--registration-grant-type",
        "registration_grant_types",
        multiple=True,
        default=INTERACTIVE,
        help="Grant type that --registration open allows. Repeatable. Default: authorization_code, "
        "device_code and refresh_token.",
    ),
    click.option(
        "--registration-scope",
        "registration_scopes",
        multiple=True,
        help="Scope that --registration open allows. Repeatable. Default: any scope on loopback, "
        "sso:account:access elsewhere.",
    ),
    click.option(
        "--registration-rate",
        default=IssuerSettings.registration_rate,
        show_default=True,
        help="Registrations per minute that --registration open accepts from one address.",
    ),
    click.option(
        "--registration-limit",
        default=IssuerSettings.registration_limit,
        show_default=True,
        help="Maximum number of registrations that --registration open keeps.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(LOG_FORMATS),
        default="text",
        show_default=True,
        help="Format of the log and the audit log on standard error.",
    ),
    _seconds("access_token", "Lifetime of an access token."),
    _seconds("authorization_code", "Lifetime of an authorization code; at most 600."),
    _seconds(
        "pushed_request",
        "Time within which the browser must open a pushed authorization request; at most 600.",
    ),
    _seconds("device_code", "Lifetime of a device code."),
    _seconds("device_interval", "Minimum time between two polls of a device."),
    _seconds("registration", "Lifetime of a client registration."),
    _seconds(
        "unused_registration", "Lifetime of an anonymous registration that never received a token."
    ),
    _seconds("refresh_family", "Lifetime of a login; refreshing does not extend it."),
    _seconds("refresh_reuse_window", "Time for which a replaced refresh token remains valid."),
    _limit("connections", "Maximum number of open connections."),
    _limit("connections_per_peer", "Maximum number of open connections from one address."),
    _limit("header_bytes", "Maximum size of a request line and its headers."),
    _limit("header_seconds", "Time limit for receiving the request line and headers."),
    _limit("body_seconds", "Time limit for receiving a body, or the form of a page."),
    _limit("idle_seconds", "Time for which a connection stays open between requests."),
    _limit("send_seconds", "Time limit for a client to read a response."),
    _limit("grace_seconds", "Time limit for requests in progress when the issuer stops."),
)


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to the command, in the order of its help."""
    for option in reversed(_ALL):
        command = option(command)
    return command
