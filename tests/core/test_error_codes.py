"""The table of error codes contains the whole OAuth registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

import grantway
from grantway._exceptions import TOKEN_ERRORS
from grantway._requests.error_codes import REGISTERED, STANDARD, error_class
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse

#: Codes by the document that registers them.
DOCUMENTS = {
    "RFC 6749": "invalid_request invalid_client invalid_grant unauthorized_client "
    "unsupported_grant_type invalid_scope access_denied unsupported_response_type server_error "
    "temporarily_unavailable",
    "RFC 6750": "invalid_request invalid_token insufficient_scope",
    "RFC 7009": "unsupported_token_type",
    "RFC 7591": "invalid_redirect_uri invalid_client_metadata invalid_software_statement "
    "unapproved_software_statement",
    "RFC 8628": "authorization_pending slow_down expired_token access_denied",
    "RFC 8693": "invalid_target",
    "RFC 9101": "invalid_request_uri invalid_request_object request_not_supported "
    "request_uri_not_supported",
    "RFC 9126": "invalid_request invalid_request_object invalid_request_uri",
    "RFC 9200": "unsupported_pop_key incompatible_ace_profiles",
    "RFC 9396": "invalid_authorization_details",
    "RFC 9449": "invalid_dpop_proof use_dpop_nonce",
    "RFC 9470": "insufficient_user_authentication",
    "OpenID Connect Core": "interaction_required login_required account_selection_required "
    "consent_required invalid_request_uri invalid_request_object request_not_supported "
    "request_uri_not_supported registration_not_supported",
    "OpenID Connect unmet_authentication_requirements": "unmet_authentication_requirements",
    "OpenID CIBA": "expired_login_hint_token unknown_user_id missing_user_code invalid_user_code "
    "invalid_binding_message transaction_failed",
    "UMA 2.0": "need_info request_denied request_submitted",
}
CODES = sorted({code for codes in DOCUMENTS.values() for code in codes.split()})


class OneResponse:
    """A transport that returns one error code for every request."""

    def __init__(self, code: str, status: int = 400) -> None:
        self.response = HttpResponse(status, {}, json.dumps({"error": code}).encode())

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        return self.response

    def close(self) -> None:
        """There is nothing to close."""


def refusal(code: str, status: int = 400, **more: Any) -> grantway.GrantwayError:
    client = grantway.Client(
        grantway.Provider(token_endpoint="https://login.example/token"),
        client_id="c",
        transport=OneResponse(code, status),
        retry=grantway.RetryPolicy(attempts=1),
        **more,
    )
    with pytest.raises(grantway.GrantwayError) as caught:
        client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    return caught.value


def test_the_table_contains_the_oauth_registry() -> None:
    assert sorted(REGISTERED) == CODES


def test_every_class_has_one_registered_code() -> None:
    assert len(STANDARD) == len(TOKEN_ERRORS)
    assert set(STANDARD) <= set(REGISTERED)
    for code, kind in STANDARD.items():
        assert kind.code == kind.wire == code


@pytest.mark.parametrize("code", CODES)
def test_a_registered_code_raises_its_class_with_advice(code: str) -> None:
    error = refusal(code)
    assert isinstance(error, grantway.TokenError)
    assert type(error) is STANDARD.get(code, grantway.UnknownTokenError)
    assert error.error == code
    assert str(error) == (
        f"login.example rejected the token request with {code} ({REGISTERED[code]})"
    )


def test_keeps_an_unregistered_code_unchanged() -> None:
    error = refusal("tenant_suspended")
    assert type(error) is grantway.UnknownTokenError
    assert error.error == "tenant_suspended"
    assert error.code == "unknown_token_error"


@pytest.mark.parametrize(
    "code", ["login_required", "consent_required", "account_selection_required"]
)
def test_one_class_catches_all_errors_that_need_the_user(code: str) -> None:
    assert isinstance(refusal(code), grantway.InteractionRequiredError)


def test_a_plugin_registers_a_class_for_a_code() -> None:
    class TransactionFailed(grantway.TokenError):
        code = wire = "transaction_failed"

    assert error_class("transaction_failed", {}) is grantway.UnknownTokenError
    more = {"transaction_failed": TransactionFailed}
    assert error_class("transaction_failed", more) is TransactionFailed


@pytest.mark.parametrize("status", [429, 503])
def test_a_temporary_code_with_status_429_or_503_means_unavailable(
    status: int,
) -> None:
    error = refusal("temporarily_unavailable", status)
    assert type(error) is grantway.ProviderUnavailableError
    assert type(refusal("temporarily_unavailable")) is grantway.TemporarilyUnavailableError
