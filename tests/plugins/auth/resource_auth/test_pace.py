"""Resources and issuers that demand login after login; a user would see a browser each time."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway_plugins.auth import ResourceAuth, StepUpRequiredError
from grantway_plugins.auth._presentation import _FUTILE
from grantway_plugins.auth._resource import record as records
from grantway_plugins.auth._resource.record import BURST
from tests.plugins.auth.sites import Issuer, Site, auth_for, folder_store, get

#: More requests than logins that are allowed at once.
REQUESTS = 2 * BURST + 5
#: Seconds until another login, which no test waits for.
INTERVAL = 100_000.0


class Logins:
    """A login that the issuer always accepts, for whatever scope; or never."""

    def __init__(self, **members: Any) -> None:
        self.made = 0
        self.fails = False
        self._members = members

    def __call__(self, client: grantway.Client, **options: Any) -> grantway.Token:
        self.made += 1
        if self.fails:
            raise grantway.AccessDeniedException("The user denied the request.")
        return replace(
            grantway.Token(f"token-{self.made}", scope=tuple(options["scope"] or ())),
            **self._members,
        )


@pytest.fixture(autouse=True)
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOGIN_INTERVAL", INTERVAL)


def judge(site: Site, challenges: Iterator[str], status: int = 403) -> None:
    """Let a site respond to each token with the next challenge."""

    def respond(path: str, token: str) -> tuple[int, dict[str, str]]:
        if not token:
            return 401, {"WWW-Authenticate": "Bearer"}
        return status, {"WWW-Authenticate": next(challenges)}

    site._judge = respond  # type: ignore[method-assign]


def challenges(text: str) -> Iterator[str]:
    return (text.format(number) for number in itertools.count())


@pytest.mark.parametrize(
    ("challenge", "status"),
    [
        ('Bearer error="insufficient_scope", scope="s{}"', 403),
        ('Bearer error="insufficient_user_authentication", max_age="{}"', 401),
        ('Bearer error="insufficient_user_authentication", acr_values="a{}"', 401),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_requirements_that_change_each_time(
    site: Site, tmp_path: Path, challenge: str, status: int, fails: bool
) -> None:
    judge(site, challenges(challenge), status)
    logins = Logins()
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    auth.token()
    logins.fails = fails
    for number in range(REQUESTS):
        with pytest.raises((StepUpRequiredError, grantway.AccessDeniedException)):
            get(site, auth)
        if number % 5 == 0:
            auth = auth_for(site, logins, store=folder_store(tmp_path))  # as another process
    assert logins.made == BURST
    with pytest.raises(StepUpRequiredError, match=f"{BURST} logins within a few minutes"):
        get(site, auth)
    logins.fails = False
    assert auth.log_in().access_token == f"token-{BURST + 1}"


def test_a_resource_that_rejects_the_tokens_of_all_processes(site: Site, tmp_path: Path) -> None:
    judge(site, itertools.repeat('Bearer error="invalid_token"'), 401)
    logins = Logins()
    for _ in range(REQUESTS):
        _FUTILE.clear()  # each process has its own
        with suppress(grantway.LoginNeededError):
            assert get(site, auth_for(site, logins, store=folder_store(tmp_path))) == 401
    assert logins.made == BURST


def test_tokens_that_expire_at_once(site: Site) -> None:
    logins = Logins(expires_at=time.time())
    auth = auth_for(site, logins)
    for _ in range(REQUESTS):
        with suppress(grantway.LoginNeededError):
            auth.token()
    assert logins.made == BURST


def test_logins_that_fail_in_all_processes(site: Site, tmp_path: Path) -> None:
    logins = Logins()
    logins.fails = True
    for _ in range(REQUESTS):
        with pytest.raises((grantway.AccessDeniedException, grantway.LoginNeededError)):
            auth_for(site, logins, store=folder_store(tmp_path)).token()
    assert logins.made == BURST


def test_issuers_that_alternate(tmp_path: Path) -> None:
    logins = Logins(expires_at=time.time())
    with Issuer() as one, Issuer() as other, Site(one) as site:
        for number in range(REQUESTS):
            site.issuer = (one, other)[number % 2]
            with suppress(grantway.LoginNeededError):
                auth_for(site, logins, store=folder_store(tmp_path)).token()
    assert logins.made == BURST


def test_issuers_and_scopes_that_alternate_register_few_clients(tmp_path: Path) -> None:
    """Each registration is stored."""
    logins = Logins(expires_at=time.time())
    with Issuer() as one, Issuer() as other, Site(one) as site:
        for number in range(REQUESTS):
            site.issuer = (one, other)[number % 2]
            site.metadata["scopes_supported"] = [f"s{number}"]
            with suppress(grantway.LoginNeededError):
                auth_for(site, logins, store=folder_store(tmp_path)).token()
        assert one.count("/register") + other.count("/register") == BURST


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda before: before - INTERVAL, BURST + 1),
        (lambda before: before + 10 * BURST * INTERVAL, BURST),
        (lambda before: 0.0, 2 * BURST),
    ],
)
def test_later_logins_start_again(site: Site, change: Callable[[float], float], made: int) -> None:
    """After some time, but never later than that if the clock was ahead during the last login."""
    logins = Logins(expires_at=time.time())
    auth = auth_for(site, logins)
    refused(auth)
    sessions = auth._tokens.sessions
    record = sessions.records.read()
    assert record is not None
    stored = replace(record, rate_limit_time=change(record.rate_limit_time)).to_token()
    sessions.settings.store.save(sessions.settings.key, stored)
    wait = re.search(r"starts in (\d+) s at the earliest", str(refused(auth)))
    assert wait is not None
    assert 0 < int(wait[1]) <= INTERVAL
    assert logins.made == made


def refused(auth: ResourceAuth) -> grantway.LoginNeededError:
    """Log in until that is refused, and return the error."""
    for _ in range(REQUESTS):
        try:
            auth.token()
        except grantway.LoginNeededError as error:
            return error
    raise AssertionError
