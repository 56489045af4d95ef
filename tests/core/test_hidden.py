"""Tracebacks show no secret arguments, and keep the locals of the caller's frames."""

from __future__ import annotations

import inspect
import traceback
from dataclasses import dataclass

import pytest

import grantway
from grantway._secrets.hidden_arguments import hides_arguments, hides_construction

MARK = "very-secret-0123456789"
#: Module level, because tracebacks also show the local variables of the tests.
GIVEN = {"secret": MARK}


def shown(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def _inner(secret: str) -> None:
    copied = [secret]
    raise LookupError(f"{len(copied)} copy")


@hides_arguments
def _fails(secret: str) -> None:
    try:
        _inner(secret)
    except LookupError as error:
        raise ValueError("no such thing") from error


@hides_construction
@dataclass
class _Holder:
    secret: str

    def __post_init__(self) -> None:
        _inner(self.secret)

    def __repr__(self) -> str:
        return "_Holder()"


def test_hides_the_arguments_of_a_function_and_its_callees() -> None:
    of_the_caller = "still here"
    with pytest.raises(ValueError, match="no such thing") as caught:
        _fails(**GIVEN)
    text = shown(caught.value)
    assert "LookupError: 1 copy" in text
    assert MARK not in text
    assert of_the_caller in text


def test_hides_the_arguments_of_a_class() -> None:
    with pytest.raises(LookupError) as caught:
        _Holder(**GIVEN)
    assert MARK not in shown(caught.value)


def test_keeps_the_signature() -> None:
    assert list(inspect.signature(_fails).parameters) == ["secret"]
    assert list(inspect.signature(_Holder).parameters) == ["secret"]
    assert "client_secret" in inspect.signature(grantway.Client).parameters


@pytest.mark.parametrize(
    "wrong", [{"client_id": ""}, {"auth": "no-such-method"}, {"timeout": -1}], ids=str
)
def test_a_client_with_invalid_arguments_shows_no_secret(wrong: dict[str, object]) -> None:
    options = grantway._secrets.params.Params({"client_id": "c", "client_secret": MARK, **wrong})
    provider = grantway.Provider(token_endpoint="https://login.example.com/token")
    with pytest.raises(grantway.ConfigurationError) as caught:
        grantway.Client(provider, **options)
    assert MARK not in shown(caught.value)
