"""Invalid durations and counts are rejected with the name of the argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from grantway import Client, CredentialPool, Freshness, Provider, RetryPolicy, Token
from grantway._exceptions import ConfigurationError
from grantway._transport.transport import HttpTransport
from grantway._types.fields import Text
from grantway._types.quantity import check_count, check_seconds, check_share, check_wait
from grantway._wire.dialect import Dialect
from grantway.testing import FaultServer, FrozenClock
from grantway_grants import authorization_code
from grantway_grants._loopback import LoopbackListener

WRONG = [True, False, math.inf, -math.inf, math.nan, -1, "300", b"300", [300], 10**400]
WRONG += [Decimal(3), Fraction(3), 10**5000, -(10**5000)]
PROVIDER = Provider("https://login.example.com/token")


def named(value: Any) -> str:
    huge = isinstance(value, int) and abs(value) > 10**400
    return "huge" if huge else repr(value)[:12]


def client(**options: Any) -> Client:
    return Client(PROVIDER, client_id="me", client_secret="secret", **options)


def ask(**options: Any) -> None:
    client().create_token(grant_type="refresh_token", refresh_token="r", **options)


def credential() -> Any:
    return client().credential(grant_type="refresh_token", refresh_token="r")


def wait_for_redirect(**options: Any) -> None:
    with LoopbackListener("http://127.0.0.1/callback") as listener:
        next(listener.redirect(**options))


ARGUMENTS: list[tuple[Callable[..., object], str]] = [
    (client, "timeout"),
    (ask, "timeout"),
    (lambda **options: client().call("revocation", **options), "timeout"),
    (lambda **options: Provider.discover("https://login.example.com", **options), "timeout"),
    (HttpTransport.within, "timeout"),
    (HttpTransport, "connect_timeout"),
    (HttpTransport, "read_timeout"),
    (RetryPolicy, "base"),
    (RetryPolicy, "longest"),
    (RetryPolicy, "retry_after_cap"),
    (Freshness, "advisory"),
    (Freshness, "mandatory"),
    (lambda **options: Dialect("mine", **options), "replay_window"),
    (lambda **options: Token("at", expires_at=1.0).expired(**options), "leeway"),
    (lambda **options: FrozenClock().step(**options), "seconds"),
    (lambda **options: authorization_code.login(client(), **options), "timeout"),
    (wait_for_redirect, "timeout"),
    (Freshness, "jitter"),
]
COUNTS: list[tuple[Callable[..., object], str]] = [
    (ask, "attempts"),
    (RetryPolicy, "attempts"),
    (HttpTransport, "max_response"),
    (HttpTransport, "pool_size"),
    (lambda **options: CredentialPool(lambda _name: credential(), **options), "entries"),
    (lambda **options: Text(example="x", **options), "minimum"),
    (lambda **options: Text(example="x", **options), "maximum"),
    (FaultServer, "port"),
]


def refused(make: Callable[..., object], name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(**{name: value})
    assert list(caught.value.errors) == [name]
    assert name in str(caught.value)


@pytest.mark.parametrize("value", WRONG, ids=named)
@pytest.mark.parametrize(("make", "name"), ARGUMENTS)
def test_a_duration_is_a_finite_number_of_seconds(
    make: Callable[..., object], name: str, value: object
) -> None:
    refused(make, name, value)


@pytest.mark.parametrize(
    "value",
    [*WRONG, 1.5, 2.0],
    ids=named,
)
@pytest.mark.parametrize(("make", "name"), COUNTS)
def test_a_count_is_a_whole_number(make: Callable[..., object], name: str, value: object) -> None:
    refused(make, name, value)


def test_limits_are_inclusive_and_named_in_the_error() -> None:
    check_seconds("lease", 0.2, least=0.2, most=3600)
    check_seconds("lease", 3600, least=0.2, most=3600)
    check_count("port", 0, least=0, most=65_535)
    check_share("jitter", 0)
    check_share("jitter", 1)
    with pytest.raises(ConfigurationError, match=r"lease: must be .* from 0\.2 to 3600, not 0\.1"):
        check_seconds("lease", 0.1, least=0.2, most=3600)
    with pytest.raises(ConfigurationError, match="from 0 to 65535, not 65536"):
        check_count("port", 65_536, least=0, most=65_535)
    with pytest.raises(ConfigurationError, match="greater than 0 and at most 1, not 0"):
        check_share("share", 0, zero=False)


@pytest.mark.parametrize("value", [each for each in WRONG if each != math.inf], ids=named)
def test_a_wait_for_a_token_is_a_duration(value: Any) -> None:
    refused(credential().token, "timeout", value)


def test_only_a_wait_for_a_token_may_have_no_end() -> None:
    assert check_wait(math.inf) == math.inf
    assert check_wait(None) is None
    with pytest.raises(ConfigurationError, match="timeout"):
        client(timeout=math.inf)


def test_zero_is_no_timeout_but_may_be_a_wait() -> None:
    with pytest.raises(ConfigurationError, match=r"timeout: must be .* greater than 0, not 0"):
        client(timeout=0)
    assert RetryPolicy(base=0, longest=0, retry_after_cap=0).base == 0
