"""The pre-authorized code grant of OpenID for Verifiable Credential Issuance 1.0."""

from .errors import OfferInvalidError
from .grant import GRANT_TYPE, PRE_AUTHORIZED_CODE
from .offer import CredentialOffer, TransactionCode, read_offer
from .servers import authorization_server

__all__ = [
    "GRANT_TYPE",
    "PRE_AUTHORIZED_CODE",
    "CredentialOffer",
    "OfferInvalidError",
    "TransactionCode",
    "authorization_server",
    "read_offer",
]
