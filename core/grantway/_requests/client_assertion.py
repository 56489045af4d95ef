"""Client authentication with an assertion of another issuer (RFC 7521 section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from grantway._secrets.hidden_arguments import hides_construction

from .client_auth import JWT_BEARER, ClientAuth, check_method, check_secret
from .sourced_auth import SourcedAuth

if TYPE_CHECKING:
    from .outgoing_request import OutgoingRequest


@hides_construction
@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """An assertion that another issuer signed (RFC 7521 section 4.2), such as a workload's token.

    Attributes:
        client_id: The client identifier.
        client_assertion: The assertion.
        client_assertion_type: Its format.
    """

    client_id: str
    client_assertion: str = field(repr=False)
    client_assertion_type: str = JWT_BEARER

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add the assertion, its type and ``client_id`` to the body."""
        request.fields["client_id"] = self.client_id
        request.fields["client_assertion_type"] = self.client_assertion_type
        request.fields["client_assertion"] = self.client_assertion

    def secrets(self) -> tuple[str, ...]:
        """Return the assertion, plain and form-encoded."""
        return (self.client_assertion, quote_plus(self.client_assertion))


def assertion_auth(
    client_id: str, client_assertion: Any, client_assertion_type: str = JWT_BEARER
) -> ClientAuth:
    """Return the client authentication with an assertion of another issuer.

    Args:
        client_id: The client identifier.
        client_assertion: The assertion, or a source of it.
        client_assertion_type: The assertion's type.

    Raises:
        ConfigurationError: An argument is invalid.
    """
    check_method("none", client_id, {})
    check_secret("client_assertion_type", client_assertion_type)

    def make(value: str) -> ClientAuth:
        check_secret("client_assertion", value)
        return ClientAssertion(client_id, value, client_assertion_type)

    if isinstance(client_assertion, str):
        return make(client_assertion)
    return SourcedAuth(client_id, client_assertion, make, setting="client_assertion")
