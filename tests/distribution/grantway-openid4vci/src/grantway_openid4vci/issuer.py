"""The issuer side: endpoints for credential offers, and the decision about a code."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, cast

from marshmallow import ValidationError, fields, validate

from grantway import GrantSchema, Scope, Text
from grantway_plugins.issuer import Additions, Denial, Endpoint, Reply

from .new_offers import RECORDS, code_of, create_offer, tx_code_digest, with_code

if TYPE_CHECKING:
    from grantway_plugins.issuer import (
        GrantRequest,
        Issue,
        IssuerRequest,
        IssuerSettings,
        Records,
        Transaction,
    )

#: Scope that a client must be registered for to create offers.
OFFER_SCOPE = "credential_offer"
_UNKNOWN = "The pre-authorized code is unknown, has expired or was used; ask for a new offer"


class OfferSchema(GrantSchema):
    """The parameters of a new offer."""

    subject = Text(required=True, example='"alice"', maximum=255)
    credential_configuration_ids = fields.List(
        Text(example='"UniversityDegree"', maximum=255),
        required=True,
        validate=validate.Length(min=1, max=20),
    )
    scope = Scope(required=True)
    tx_code = fields.Boolean(load_default=True)
    description = fields.String(load_default="", validate=validate.Length(max=300))
    credential_issuer = fields.Url(schemes={"https"}, load_default=None)


_SCHEMA = OfferSchema()


class PreAuthorizedCodes:
    """Credential offers, and the tokens for their codes."""

    def extend(self, settings: IssuerSettings) -> Additions:
        """Add the endpoints and the metadata."""
        return Additions(
            endpoints=[
                Endpoint(
                    "/credential-offers",
                    new_offer,
                    accepts=("form", "json"),
                    authenticate="client",
                    repeatable=frozenset({"credential_configuration_ids"}),
                ),
                Endpoint("/credential-offer", show_offer, methods=("GET",), cors=True),
            ],
            metadata={
                "credential_offers_endpoint": f"{settings.url}/credential-offers",
                "pre-authorized_grant_anonymous_access_supported": False,
            },
        )

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token for an unused code with the right transaction code."""
        offers, code = transaction.records(RECORDS), request.params["code"]
        offer = offers.get(code)
        if offer is None:
            return Denial("invalid_grant", _UNKNOWN)
        given, expected = request.params.get("tx_code"), offer["tx_code"]
        if (given is None) is not (expected is None):
            rule = "is required" if given is None else "must be left out"
            return Denial("invalid_request", f"tx_code {rule} for this pre-authorized code")
        if given is not None and not hmac.compare_digest(tx_code_digest(code, given), expected):
            return _wrong_tx_code(offers, code, offer)
        scope = tuple(request.params.get("scope") or offer["scope"])
        if not set(scope) <= set(offer["scope"]):
            return Denial("invalid_scope", "scope exceeds the scope of the credential offer")
        decision = request.issue(subject=offer["subject"], scope=scope)
        if not isinstance(decision, Denial):  # after a denial, the code stays valid
            offers.delete(code)
        return decision


def _wrong_tx_code(offers: Records, code: str, offer: dict[str, Any]) -> Denial:
    left = offer["attempts"] - 1
    if left:
        offers.put(code, {**offer, "attempts": left}, until=offer["until"])
        return Denial("invalid_grant", f"The transaction code is wrong; attempts left: {left}")
    offers.delete(code)
    return Denial(
        "invalid_grant", "The transaction code is wrong, too often; ask for a new credential offer"
    )


def new_offer(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    """Create an offer for a client that the operator registered for it."""
    client = request.client
    if client is None or client.anonymous or OFFER_SCOPE not in client.scope:
        return Denial(
            "unauthorized_client",
            f"The client may not create credential offers; add it with the scope {OFFER_SCOPE}",
        )
    try:
        given = {name: value for name, value in request.params.items() if name != "client_id"}
        loaded = cast("dict[str, Any]", _SCHEMA.load(given))
    except ValidationError as invalid:
        return Denial("invalid_request", f"Missing or invalid: {', '.join(invalid.messages_dict)}")
    offer = create_offer(request, transaction, **loaded)
    reply: dict[str, Any] = {
        "credential_offer": offer.by_reference,
        "credential_offer_by_value": offer.by_value,
        "expires_in": offer.expires_in,
    }
    return Reply(reply if offer.tx_code is None else {**reply, "tx_code": offer.tx_code}, 201)


def show_offer(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    """Return the offer of a reference to the wallet."""
    code = code_of(request.params.get("id", ""))
    record = transaction.records(RECORDS).get(code)
    if record is None:
        return Reply({"error": "not_found"}, 404)
    return Reply(with_code(record["offer"], code))


#: The issuer's part, which ``plugin`` refers to.
OFFERS = PreAuthorizedCodes()
