"""Creating credential offers at the issuer."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from grantway_plugins.issuer import digest

from .grant import GRANT_TYPE

if TYPE_CHECKING:
    from grantway_plugins.issuer import IssuerRequest, Transaction

#: Namespace of the records.
RECORDS = "grantway-openid4vci"
#: Number of wrong transaction codes after which a pre-authorized code is void.
ATTEMPTS = 5
#: Lifetime of an offer in seconds.
LIFETIME = 600.0
_TX_DIGITS = 6


@dataclass(frozen=True, slots=True)
class NewOffer:
    """A credential offer that was stored.

    Attributes:
        by_reference: The URI for a link or QR code; the wallet fetches the offer.
        by_value: A longer URI that contains the offer.
        tx_code: The transaction code to send to the user through another channel, or None.
        expires_in: Lifetime in seconds.
    """

    by_reference: str = field(repr=False)
    by_value: str = field(repr=False)
    tx_code: str | None = field(repr=False)
    expires_in: int


def create_offer(
    request: IssuerRequest,
    transaction: Transaction,
    *,
    subject: str,
    credential_configuration_ids: Sequence[str],
    scope: Sequence[str],
    tx_code: bool = True,
    description: str = "",
    credential_issuer: str | None = None,
) -> NewOffer:
    """Store a credential offer. Call it in a handler of an endpoint or page of the issuer.

    Args:
        request: The request that the handler got.
        transaction: The transaction that the handler got.
        subject: The user who gets the credentials: the subject of the token.
        credential_configuration_ids: The offered credentials.
        scope: Scope of the token.
        tx_code: Whether the user must enter a transaction code.
        description: How the user gets the transaction code.
        credential_issuer: URL of the credential issuer; by default that of the issuer itself.
    """
    reference = secrets.token_urlsafe(32)
    code = code_of(reference)
    number = f"{secrets.randbelow(10**_TX_DIGITS):0{_TX_DIGITS}}" if tx_code else None
    grant: dict[str, Any] = {}
    if number is not None:
        grant["tx_code"] = {"input_mode": "numeric", "length": _TX_DIGITS}
        if description:
            grant["tx_code"]["description"] = description
    offer = {
        "credential_issuer": credential_issuer or request.settings.url,
        "credential_configuration_ids": list(credential_configuration_ids),
        "grants": {GRANT_TYPE: grant},
    }
    record = {
        "subject": subject,
        "scope": list(scope),
        "tx_code": None if number is None else tx_code_digest(code, number),
        "attempts": ATTEMPTS,
        "until": request.now + LIFETIME,
        "offer": offer,
    }
    transaction.records(RECORDS).put(code, record, until=request.now + LIFETIME)
    address = f"{request.settings.url}/credential-offer?{urlencode({'id': reference})}"
    return NewOffer(
        by_reference=_uri(credential_offer_uri=address),
        by_value=_uri(credential_offer=json.dumps(with_code(offer, code))),
        tx_code=number,
        expires_in=int(LIFETIME),
    )


def code_of(reference: str) -> str:
    """Return the code of a reference. It is derived, so that the database contains neither."""
    return base64.urlsafe_b64encode(digest(f"{RECORDS} code {reference}")).decode().rstrip("=")


def tx_code_digest(code: str, tx_code: str) -> str:
    """Return the digest of a transaction code, which cannot be guessed without the code."""
    return digest(f"{RECORDS} tx_code {code} {tx_code}").hex()


def with_code(offer: dict[str, Any], code: str) -> dict[str, Any]:
    """Return a stored offer with its pre-authorized code."""
    grant = {"pre-authorized_code": code, **offer["grants"][GRANT_TYPE]}
    return {**offer, "grants": {GRANT_TYPE: grant}}


def _uri(**parameter: str) -> str:
    return f"openid-credential-offer://?{urlencode(parameter)}"
