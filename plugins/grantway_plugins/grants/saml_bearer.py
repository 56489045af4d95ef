"""The SAML 2.0 bearer grant (RFC 7522), which exchanges a SAML assertion for a token."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:saml2-bearer"
#: Whitespace, a byte order mark, and the start of something in angle brackets.
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


class SamlAssertion(Text):
    """A SAML assertion in base64url, as ``encode_assertion`` returns it (RFC 7522 section 2.1)."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "xml": "must be encoded, as {example}; call encode_assertion() first",
        "base64url": "must be XML in base64url, such as {example}; encode_assertion() returns it",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(example='"PHNhbWw6QXNzZXJ0aW9u..."', maximum=1_000_000, **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        if isinstance(value, str) and value.lstrip().startswith("<"):
            raise self.make_error("xml")
        text = super()._deserialize(value, attr, data, **options)
        # The RFC omits the padding, but some providers require it.
        try:
            plain = text.rstrip("=")
            xml = base64.b64decode(plain + "=" * (-len(plain) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            xml = b""
        if not _XML.match(xml):
            raise self.make_error("base64url")
        return text


class SamlBearerSchema(GrantSchema):
    """The parameters ``assertion``, ``scope`` and ``resource``."""

    assertion = SamlAssertion(required=True)
    scope = Scope()
    resource = Resource()


#: An assertion may be limited to one use (SAML's ``OneTimeUse``), and a provider may remember the
#: identifiers of assertions that it has accepted (RFC 7522 section 3).
SAML_BEARER = Grant(
    grant_type=GRANT_TYPE,
    schema=SamlBearerSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"assertion"}),
    single_use=frozenset({"assertion"}),
    repeatable=frozenset({"resource"}),
    summary="A token in exchange for a SAML 2.0 assertion (RFC 7522)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the SAML 2.0 bearer grant."""
    return [SAML_BEARER]


def encode_assertion(xml: str | bytes) -> str:
    """Encode an assertion as base64url without padding (RFC 7522 section 2.1).

    Args:
        xml: One ``Assertion`` element, byte for byte as its issuer signed it.

    Raises:
        ConfigurationError: The text is not XML, for example because it is already encoded.
    """
    data = xml.encode() if isinstance(xml, str) else xml
    if not _XML.match(data):
        raise ConfigurationError("xml: must be the XML of an assertion, which starts with '<'.")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
