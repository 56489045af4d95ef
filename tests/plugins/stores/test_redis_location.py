"""Tests of URLs that name Sentinels or a cluster; nothing connects."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.stores.redis._store import RedisStore
from tests.plugins.stores.contract import MARK, shown

LOGIN = "u:" + MARK + "@"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (
            f"rediss+sentinel://{LOGIN}a.example,b.example:5000/tokens/2?sentinel_password={MARK}",
            "rediss+sentinel://a.example:26379,b.example:5000/tokens/2",
        ),
        ("redis+sentinel://127.0.0.1/tokens", "redis+sentinel://127.0.0.1:26379/tokens/0"),
        (
            f"redis+cluster://{LOGIN}[::1]:7000,localhost",
            "redis+cluster://[::1]:7000,localhost:6379",
        ),
        ("rediss+cluster://a.example/0?ssl_check_hostname=no", "rediss+cluster://a.example:6379"),
    ],
)
def test_repr_names_all_hosts_without_credentials(url: str, named: str) -> None:
    with closing(RedisStore(url)) as store:
        assert repr(store) == f"RedisStore({named}, prefix='grantway:')"


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (f"redis+ring://{LOGIN}h", r"\+sentinel or \+cluster"),
        (f"unix+cluster://{LOGIN}h", r"must start with redis"),
        (f"redis+sentinel://{LOGIN}127.0.0.1", "name the service"),
        (f"redis+sentinel://{LOGIN}127.0.0.1/tokens/first", "name the service"),
        (f"redis+cluster://{LOGIN}127.0.0.1/1", "must not name a database"),
        (f"redis+cluster://{LOGIN}127.0.0.1,,127.0.0.2", "separated by commas"),
        (f"redis+cluster://{LOGIN}127.0.0.1:99999", "separated by commas"),
        (f"redis+cluster://{LOGIN}127.0.0.1:port", "separated by commas"),
        (f"redis+cluster://{LOGIN}", "separated by commas"),
        (f"redis+cluster://{LOGIN}127.0.0.1?no_such_option=1", "options that redis-py supports"),
        (
            f"redis+cluster://{LOGIN}127.0.0.1?ssl_ca_certs=ca.pem",
            "with rediss, because .*ca_certs",
        ),
        (f"redis://{LOGIN}127.0.0.1?ssl_keyfile=key.pem", "with rediss, because .* ssl_keyfile"),
        (f"redis+cluster://{LOGIN}127.0.0.1,cache.example", "to cache.example without TLS"),
        (f"redis+sentinel://{LOGIN}10.0.0.1/tokens/0", "to 10.0.0.1 without TLS"),
    ],
)
def test_rejects_an_invalid_url(url: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule) as rejected:
        RedisStore(url)
    assert list(rejected.value.errors) == ["url"]
    assert MARK not in shown(rejected.value)


@pytest.mark.parametrize("failover", [-1, "long", float("inf")])
def test_rejects_an_invalid_failover_time(failover: Any) -> None:
    with pytest.raises(ConfigurationError, match="failover"):
        RedisStore(failover=failover)
