"""Credential offers, by value or by reference (OpenID4VCI section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from grantway import Transport

from .documents import fetch_json, parse_object
from .errors import OfferInvalidError
from .grant import GRANT_TYPE

_NAMED = "the credential offer"
_text = validate.Length(min=1, max=2048)


@dataclass(frozen=True, slots=True)
class TransactionCode:
    """The transaction code that an offer requires.

    Attributes:
        input_mode: ``numeric`` for digits, or ``text``.
        length: Its length, or None if unknown.
        description: How the user gets it; may be empty.
    """

    input_mode: str = "numeric"
    length: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class CredentialOffer:
    """A credential offer with a pre-authorized code.

    Attributes:
        credential_issuer: The credential issuer, a URL.
        credential_configuration_ids: The offered credentials.
        code: The pre-authorized code.
        tx_code: The transaction code that the token request must have, or None.
        authorization_server: The authorization server, if the issuer has several.
    """

    credential_issuer: str
    credential_configuration_ids: tuple[str, ...]
    code: str = field(repr=False)
    tx_code: TransactionCode | None = None
    authorization_server: str | None = None


class _Lenient(Schema):
    class Meta:
        """Ignore unknown members, as section 4.1.1 requires."""

        unknown = EXCLUDE


class _TxCode(_Lenient):
    input_mode = fields.String(load_default="numeric", validate=validate.OneOf(["numeric", "text"]))
    length = fields.Integer(load_default=None, strict=True, validate=validate.Range(1, 300))
    description = fields.String(load_default="", validate=validate.Length(max=300))


class _Grant(_Lenient):
    code = fields.String(required=True, data_key="pre-authorized_code", validate=_text)
    tx_code = fields.Nested(_TxCode, load_default=None)
    authorization_server = fields.String(load_default=None, validate=_text)


class _Grants(_Lenient):
    grant = fields.Nested(_Grant, required=True, data_key=GRANT_TYPE)


class _Offer(_Lenient):
    credential_issuer = fields.String(required=True, validate=_text)
    credential_configuration_ids = fields.List(
        fields.String(validate=_text), required=True, validate=validate.Length(min=1)
    )
    grants = fields.Nested(_Grants, required=True)


def read_offer(uri: str, *, transport: Transport | None = None) -> CredentialOffer:
    """Return the credential offer in a URI, such as that of a QR code.

    Args:
        uri: ``openid-credential-offer://?...``, or an https URL of a wallet, with the parameter
            ``credential_offer`` or ``credential_offer_uri``.
        transport: Fetches an offer by reference; by default a new ``HttpTransport``.

    Raises:
        OfferInvalidError: It is no credential offer, or has no pre-authorized code.
        InsecureEndpointError: The reference is not an https URL.
        TransportError: The referenced offer could not be fetched.
    """
    try:
        found = parse_qs(urlsplit(uri.strip()).query, max_num_fields=20)
    except ValueError:
        found = {}
    values, references = found.get("credential_offer", []), found.get("credential_offer_uri", [])
    if len(values) + len(references) != 1:
        raise OfferInvalidError(
            "The URI must have one parameter credential_offer or credential_offer_uri; scan or "
            "paste the whole credential offer, which begins with openid-credential-offer://"
        )
    if values:
        return _parsed(parse_object(values[0], _NAMED))
    return _parsed(fetch_json(references[0], _NAMED, transport))


def _parsed(members: Mapping[str, Any]) -> CredentialOffer:
    try:
        loaded = cast("dict[str, Any]", _Offer().load(members))
    except ValidationError as invalid:
        wrong = _paths(invalid.messages_dict)
    else:
        grant = loaded["grants"]["grant"]
        tx_code = grant["tx_code"]
        return CredentialOffer(
            credential_issuer=loaded["credential_issuer"],
            credential_configuration_ids=tuple(loaded["credential_configuration_ids"]),
            code=grant["code"],
            tx_code=None if tx_code is None else TransactionCode(**tx_code),
            authorization_server=grant["authorization_server"],
        )
    # Raised here, because the ValidationError contains the code.
    raise OfferInvalidError(
        f"{_NAMED.capitalize()} has missing or invalid members: {', '.join(wrong)}; ask the issuer "
        "for a new one"
    )


def _paths(messages: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the paths of marshmallow's nested messages."""
    paths: list[str] = []
    for name, below in messages.items():
        path = f"{prefix}{name}"
        nested = cast("dict[str, Any]", below) if isinstance(below, dict) else None
        paths += [path] if nested is None else _paths(nested, f"{path}.")
    return paths
