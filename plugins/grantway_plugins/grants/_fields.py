"""Schema fields that several of these grants use."""

from __future__ import annotations

import re
from typing import Any

from grantway._types.fields import Text

#: Prefix of the token type identifiers (RFC 8693 section 3).
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
#: ``typ`` of an identity assertion (draft-ietf-oauth-identity-assertion-authz-grant).
ID_JAG_TYP = "oauth-id-jag+jwt"


class Jwt(Text):
    """A signed JWT in the compact serialization of RFC 7515: three base64url parts with dots."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "characters": "must be a signed JWT: three parts separated by dots, such as {example}"
    }
    characters = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

    def __init__(self, **options: Any) -> None:
        super().__init__(example='"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"', **options)
