"""The class hierarchy of errors, their codes, and pickling."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from grantway import _exceptions as exceptions
from grantway._exceptions import (
    TOKEN_ERRORS,
    Attempt,
    Evidence,
    GrantwayError,
    InvalidGrantException,
    ProviderPausedError,
    ProviderUnavailableError,
    RequestInvalidError,
    StoreLockError,
    StoreSaveError,
    TokenError,
    TransportError,
    UnknownGrantTypeError,
    UnknownTokenError,
    WaitTimeoutError,
)
from grantway._types.token import Token

ALL: list[type[GrantwayError]] = [
    value
    for value in vars(exceptions).values()
    if inspect.isclass(value) and issubclass(value, GrantwayError)
]
EVIDENCE = Evidence(
    status=400,
    request_id="req-1",
    provider="example.com",
    grant_type="refresh_token",
    attempts=2,
    headers={"x-one": "1"},
    history=(Attempt("refused", "status 503", 503, 1.5, 0.1),),
)
#: Codes that programs compare with; changing one breaks these programs.
CODES = {
    "GrantwayError": "grantway_error",
    "RequestInvalidError": "request_invalid",
    "UnknownGrantTypeError": "unknown_grant_type",
    "ConfigurationError": "configuration_invalid",
    "InsecureEndpointError": "insecure_endpoint",
    "TransportError": "transport_error",
    "ConnectionFailedError": "connection_failed",
    "OutcomeUnknownError": "outcome_unknown",
    "ProviderUnavailableError": "provider_unavailable",
    "RedirectRefusedError": "redirect_refused",
    "ResourceMetadataError": "resource_metadata_invalid",
    "ResponseInvalidError": "response_invalid",
    "ResponseTooLargeError": "response_too_large",
    "TokenError": "token_error",
    "UnknownTokenError": "unknown_token_error",
    "FlowError": "flow_failed",
    "FlowCancelledError": "flow_cancelled",
    "FlowTimeoutError": "flow_timeout",
    "BrowserUnavailableError": "browser_unavailable",
    "RedirectMismatchError": "redirect_mismatch",
    "CredentialError": "credential_error",
    "LoginNeededError": "login_needed",
    "WaitTimeoutError": "wait_timeout",
    "ProviderPausedError": "provider_paused",
    "SecretUnavailableError": "secret_unavailable",
    "StoreError": "store_failed",
    "StoreUnreadableError": "store_unreadable",
    "StoreSaveError": "store_save_failed",
    "StoreLockError": "store_locked",
    "LeaseLostError": "lease_lost",
    "RegistryError": "registry_error",
    "GrantConflictError": "grant_conflict",
    "GrantInvalidError": "grant_invalid",
    "PluginIncompatibleError": "plugin_incompatible",
    "PluginError": "plugin_failed",
    "PluginLoadError": "plugin_load_failed",
}


def drawn() -> dict[str, str | None]:
    """Return class -> parent from the docstring of the module."""
    tree: dict[str, str | None] = {}
    above: list[str] = []
    lines = (exceptions.__doc__ or "").split("::\n", 1)[1].splitlines()
    for line in lines:
        found = re.match(r"    ((?:[| ]  )*)([|`]- )?([A-Z]\w+)(?:\s|$)", line)
        if found is None:
            if tree and line.strip():
                break
            continue
        depth = len(found[1]) // 3 + (1 if found[2] else 0)
        tree[found[3]] = above[depth - 1] if depth else None
        above[depth:] = [found[3]]
    return tree


def test_the_docstring_shows_the_class_hierarchy() -> None:
    real = {
        kind.__name__: None if kind is GrantwayError else kind.__bases__[0].__name__ for kind in ALL
    }
    assert drawn() == real


def test_codes_are_stable_and_unique() -> None:
    codes = {kind.__name__: kind.code for kind in ALL}
    wires = {kind.__name__: kind.wire for kind in TOKEN_ERRORS}
    assert codes == {**CODES, **wires}
    assert len(set(codes.values())) == len(codes)


def test_the_table_contains_each_class_with_a_wire_code() -> None:
    leaves = {
        kind
        for kind in ALL
        if issubclass(kind, TokenError) and kind not in (TokenError, UnknownTokenError)
    }
    assert leaves == set(TOKEN_ERRORS)


@pytest.mark.parametrize("kind", ALL)
def test_errors_can_be_pickled_and_copied(kind: type[GrantwayError]) -> None:
    error = kind("what happened", evidence=EVIDENCE)
    error.add_note("a note")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert (str(twin), twin.args, twin.__dict__) == (str(error), error.args, error.__dict__)
        assert twin.evidence == EVIDENCE


def test_pickling_keeps_the_attributes_of_errors() -> None:
    request = RequestInvalidError("no", errors={"code": ["is required"]})
    grant = UnknownGrantTypeError("no", registered=["a", "b"], nearest="a")
    busy = ProviderUnavailableError("busy", retry_after=3.0, excerpt="soon")
    token = InvalidGrantException(error_description="spent", reason="REUSED", error_uri="https://x")
    assert pickle.loads(pickle.dumps(request)).errors == {"code": ["is required"]}
    twin = pickle.loads(pickle.dumps(grant))
    assert (twin.registered, twin.nearest) == (("a", "b"), "a")
    twin = pickle.loads(pickle.dumps(busy))
    assert (twin.retry_after, twin.excerpt) == (3.0, "soon")
    twin = pickle.loads(pickle.dumps(token))
    assert (twin.error_description, twin.reason, twin.error_uri) == ("spent", "REUSED", "https://x")
    assert twin.response == token.response
    paused = ProviderPausedError("later", retry_after=7.5)
    assert pickle.loads(pickle.dumps(paused)).retry_after == 7.5
    unsaved = StoreSaveError("full", token=Token("at", refresh_token="rt"))
    assert pickle.loads(pickle.dumps(unsaved)).token == Token("at", refresh_token="rt")
    assert pickle.loads(pickle.dumps(StoreSaveError("full"))).token is None


def test_the_repr_of_an_error_hides_its_token() -> None:
    unsaved = StoreSaveError("the disk is full", token=Token("at-1", refresh_token="rt-1"))
    for text in (str(unsaved), repr(unsaved), repr(vars(unsaved))):
        assert "at-1" not in text
        assert "rt-1" not in text


def test_a_subclass_in_a_plugin_can_be_pickled() -> None:
    twin = pickle.loads(pickle.dumps(CouponSpent(error_description="spent")))
    assert isinstance(twin, CouponSpent)
    assert (twin.error, twin.code) == ("coupon_spent", "coupon_spent")


class CouponSpent(TokenError):  # noqa: N818 - as a plugin may name it
    """An error class of a plugin."""

    code = wire = "coupon_spent"


def test_str_returns_the_message() -> None:
    assert str(TransportError("lost")) == "lost"
    assert repr(TransportError("lost")) == "TransportError('lost')"
    assert str(InvalidGrantException()) == "invalid_grant"
    assert str(InvalidGrantException(error_description="spent")) == "spent"


def test_a_request_error_is_a_value_error() -> None:
    assert issubclass(RequestInvalidError, ValueError)


@pytest.mark.parametrize("kind", [WaitTimeoutError, StoreLockError])
def test_timeouts_are_timeout_errors(kind: type[GrantwayError]) -> None:
    assert issubclass(kind, TimeoutError)


def test_the_response_has_the_format_of_botocore() -> None:
    error = InvalidGrantException(error_description="spent", reason="REUSED", evidence=EVIDENCE)
    assert error.response == {
        "Error": {"Message": "spent", "Code": "InvalidGrantException"},
        "ResponseMetadata": {
            "RequestId": "req-1",
            "HTTPStatusCode": 400,
            "HTTPHeaders": {"x-one": "1"},
            "RetryAttempts": 1,
        },
        "error": "invalid_grant",
        "error_description": "spent",
        "reason": "REUSED",
    }


def test_the_response_contains_an_unknown_code() -> None:
    response = UnknownTokenError(error="quota").response
    assert response["Error"]["Code"] == "quota"
    assert "error_description" not in response
    assert "reason" not in response
