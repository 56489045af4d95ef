"""``[issuer]``: the issuer's identity, pages and keys."""

from __future__ import annotations

from marshmallow import fields

from grantway_plugins._config.fields import Choice, PathField
from grantway_plugins.issuer._config.table import IssuerTable, Texts, text


class _Paths(fields.List[str]):
    """A list of paths. Relative ones start at the folder of the file."""

    def __init__(self, example: str) -> None:
        rule = f'must be a list of paths, like ["{example}"]'
        super().__init__(
            PathField(error_messages={"invalid": rule}), error_messages={"invalid": rule}
        )


class IdentityTable(IssuerTable):
    """``[issuer]``: the issuer's identity, pages and keys (see ``IssuerSettings``)."""

    table = "issuer"
    names = {"url": ("issuer",)}  # noqa: RUF012

    url = text()
    name = text()
    approve = Choice("page", "auto")
    subject = text()
    default_scopes = Texts("read")
    scope_descriptions = fields.Dict(
        error_messages={"invalid": 'must be a table, like {read = "See your files"}'}
    )
    cors_origins = Texts("https://app.example.com")
    signing_keys = _Paths("signing-key.pem")
    access_token_format = Choice("opaque", "jwt")
