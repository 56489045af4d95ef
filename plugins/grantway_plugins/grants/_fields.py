"""What several of these grants have in their schemas."""

from __future__ import annotations

import re
from typing import Any

from grantway._types.grant import Text

#: What stands in the registry of token types (RFC 8693 section 3), after this.
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"


class Jwt(Text):
    """A signed JWT in its compact form: three parts of base64url with dots (RFC 7515)."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "characters": "must be a signed JWT, three parts with dots, like {example}"
    }
    characters = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

    def __init__(self, **options: Any) -> None:
        super().__init__(example='"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"', **options)
