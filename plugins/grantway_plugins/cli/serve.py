"""``grantway serve``: run the embedded issuer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway_plugins.issuer import _audit_log as audit_log, serve
from grantway_plugins.issuer._aws_portal.accounts_file import read_accounts
from grantway_plugins.issuer._config import IssuerFile, Options
from grantway_plugins.issuer._config.table import Part
from grantway_plugins.issuer._storage.database import default_path
from grantway_plugins.issuer._trust.trust_file import read_trusted_issuers
from grantway_plugins.server import Limits
from grantway_plugins.server._log_format import LogFormat, log_to_stderr
from grantway_plugins.server._tls.certificate import logger as tls_log

from .issuer_database import IssuerDatabase, read_secret
from .serve_options import DEFAULT_PORT, serve_options

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
        "metrics_port",
        "metrics_host",
    }
)


@click.command(name="serve")
@serve_options
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
    server.setdefault("port", DEFAULT_PORT)
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
