"""Tests of ``grantway logout``: revoke the token, and delete it even if that fails."""

from __future__ import annotations

import pytest

from grantway._exceptions import InvalidGrantException
from grantway_plugins.testing import LiveIssuer
from tests.plugins.cli.home import Home


@pytest.fixture
def logged_in(home: Home, grantway_issuer: LiveIssuer) -> Home:
    """Return a home with a profile named work that is logged in."""
    home.write(f'[profiles.work]\nprovider = "{grantway_issuer.url}"\n')
    done = home.run("login", "work")
    assert done.returncode == 0, done.stderr
    return home


def kept(home: Home) -> list[str]:
    return [path.name for path in home.tokens.glob("*.json")]


def test_revokes_the_token_and_deletes_it_with_its_registration(logged_in: Home) -> None:
    with logged_in.profile() as profile:
        client, token = profile.client(), profile.store.load(profile.key)
        assert token is not None
        assert len(kept(logged_in)) == 2
        done = logged_in.run("logout", "work")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Logged out of work.\n", "")
        with pytest.raises(InvalidGrantException):
            client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)
    assert kept(logged_in) == []
    assert logged_in.run("token", "work").returncode == 3
    again = logged_in.run("logout", "work")
    assert (again.returncode, again.stdout) == (0, "You were not logged in to work.\n")


def test_deletes_a_token_that_cannot_be_revoked(
    logged_in: Home, grantway_issuer: LiveIssuer
) -> None:
    token = logged_in.stored()
    assert token is not None
    grantway_issuer.server.stop()
    done = logged_in.run("logout", "work")
    assert (done.returncode, done.stdout) == (1, "Logged out of work.\n")
    assert "could not be revoked" in done.stderr
    assert "It is valid until it expires" in done.stderr
    assert token.access_token not in done.stderr
    assert str(token.refresh_token) not in done.stderr
    assert kept(logged_in) == []


def test_reports_a_provider_without_a_revocation_endpoint(
    home: Home, grantway_issuer: LiveIssuer
) -> None:
    url = grantway_issuer.url
    home.write(
        f'[profiles.work.provider]\ntoken_endpoint = "{url}/token"\n'
        f'device_authorization_endpoint = "{url}/device_authorization"\n'
        f'registration_endpoint = "{url}/register"\n'
    )
    assert home.run("login", "work").returncode == 0
    done = home.run("logout", "work")
    assert done.returncode == 0
    assert "cannot revoke tokens" in done.stdout
    assert kept(home) == []


def test_does_not_register_again_only_to_revoke(logged_in: Home) -> None:
    with logged_in.profile() as profile:
        assert profile.registrations is not None
        profile.registrations.delete(5)
    done = logged_in.run("logout", "work")
    assert done.returncode == 1
    assert "the registration of the client" in done.stderr
    assert kept(logged_in) == []


def test_rejects_two_names(home: Home) -> None:
    done = home.run("logout", "work", "--sso-session", "work")
    assert done.returncode == 2
    assert "Give only one of NAME, --sso-session and --sso-profile." in done.stderr


def test_needs_a_profile_if_no_name_is_given(home: Home) -> None:
    done = home.run("logout")
    assert done.returncode == 1
    assert "no profile yet" in done.stderr
