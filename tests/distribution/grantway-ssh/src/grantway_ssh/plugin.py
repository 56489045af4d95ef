"""The hooks that grantway calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from marshmallow import Schema, fields

from grantway import LoginFlow, hookimpl

from .allowed_signers import AllowedSigners
from .grant import GRANT_TYPE
from .issuer import SshSignatures
from .login import log_in


class Settings(Schema):
    """The table ``[plugins.ssh]``."""

    allowed_signers = fields.String(
        load_default="", metadata={"description": "the keys that the issuer accepts"}
    )
    key = fields.String(
        load_default="~/.ssh/id_ed25519", metadata={"description": "the key of grantway login"}
    )


@hookimpl
def grantway_register_settings() -> Schema:
    """Declare the settings."""
    return Settings()


@hookimpl
def grantway_register_grants() -> Mapping[str, str]:
    """Register the grant."""
    return {GRANT_TYPE: "grantway_ssh.grant:SSH_SIGNATURE"}


@hookimpl
def grantway_register_login_flows(settings: Mapping[str, Any]) -> Mapping[str, LoginFlow]:
    """Register ``grantway login``."""
    return {GRANT_TYPE: partial(log_in, key=settings["key"])}


@hookimpl
def grantway_register_issuer_grants(settings: Mapping[str, Any]) -> Mapping[str, SshSignatures]:
    """Register the decision about signatures, if there is a list of keys."""
    issuer = _issuer(settings)
    return {} if issuer is None else {GRANT_TYPE: issuer}


@hookimpl
def grantway_register_issuer_extensions(
    settings: Mapping[str, Any],
) -> Mapping[str, SshSignatures]:
    """Register the endpoint for nonces, if there is a list of keys."""
    issuer = _issuer(settings)
    return {} if issuer is None else {"ssh": issuer}


def _issuer(settings: Mapping[str, Any]) -> SshSignatures | None:
    path = settings["allowed_signers"]
    return SshSignatures(AllowedSigners(Path(path).expanduser())) if path else None
