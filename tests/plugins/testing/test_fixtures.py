"""Tests of the pytest fixtures for plugin authors."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway import Grant, GrantSchema, Replay, Text, build_registry, default_registry
from grantway.testing import (
    FaultServer,
    FrozenClock,
    Register,
    assert_grant_conforms,
    faults,
    isolated_registry,
)
from grantway_grants import authorization_code, device_code
from grantway_plugins.issuer import Denial, IssuerSettings
from grantway_plugins.testing import LiveIssuer, _plugin as plugin
from grantway_plugins.testing._live_issuer import REDIRECT_URI
from tests.waiting import PATIENCE


class CouponSchema(GrantSchema):
    """The grant's parameters."""

    coupon = Text(required=True, example='"SPRING-2031"')


COUPON = Grant(
    grant_type="urn:example:coupon",
    schema=CouponSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"coupon"}),
    summary="A token for a coupon",
)


class Coupons:
    """The issuer's part of the grant, with one valid coupon."""

    def decide(self, request: Any, transaction: Any) -> Any:
        if request.params["coupon"] != "SPRING-2031":
            return Denial("invalid_grant", "The coupon is unknown")
        return request.issue(subject="coupon-holder")


class CouponPlugin:
    """A plugin that registers both parts of the grant."""

    @grantway.hookimpl
    def grantway_register_grants(self) -> list[Grant]:
        return [COUPON]

    @grantway.hookimpl
    def grantway_register_issuer_grants(self) -> dict[str, Any]:
        return {COUPON.grant_type: Coupons()}


# --- the registry -------------------------------------------------------------------------------


def test_a_plugin_is_registered_for_every_client_of_the_test(grantway_register: Register) -> None:
    registry = grantway_register(CouponPlugin())
    assert registry.grant(COUPON.grant_type) is COUPON
    assert default_registry() is grantway_register.registry is registry


def test_registrations_of_other_tests_are_gone(grantway_register: Register) -> None:
    assert COUPON.grant_type not in grantway_register.registry.grants


def test_a_grant_is_registered_with_its_issuer_grant(grantway_register: Register) -> None:
    coupons = Coupons()
    registry = grantway_register(COUPON, issuer=coupons)
    assert registry.issuer_grants[COUPON.grant_type] is coupons


def test_rejects_an_issuer_grant_with_a_plugin(grantway_register: Register) -> None:
    with pytest.raises(TypeError, match="only with a grant"):
        grantway_register(CouponPlugin(), issuer=Coupons())


def test_restores_the_previous_registry() -> None:
    before = default_registry()
    with isolated_registry() as register:
        assert register(COUPON) is not before
        assert default_registry() is register.registry
    assert default_registry() is before


class TestThirdPartyPlugins:
    """Other installed plugins are not loaded by default."""

    @pytest.fixture(autouse=True)
    def third_party(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Install another distribution with a plugin."""
        info = tmp_path / "stranger-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[grantway.v1]\nstranger = stranger_plugin\n")
        (tmp_path / "stranger_plugin.py").write_text(
            "import grantway\n\n"
            "@grantway.hookimpl\n"
            "def grantway_register_grants():\n"
            "    return [grantway.Grant('urn:stranger', grantway.GrantSchema())]\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

    def test_the_plugin_is_installed(self) -> None:
        assert "urn:stranger" in build_registry().grants

    def test_the_plugin_is_not_loaded(self, grantway_register: Register) -> None:
        assert "urn:stranger" not in grantway_register.registry.grants
        assert {plugin.state for plugin in grantway_register.registry.plugins} == {
            "loaded",
            "blocked",
        }

    class TestSelected:
        """The fixture ``grantway_installed`` selects plugins to load."""

        @pytest.fixture
        def grantway_installed(self) -> Collection[str]:
            return ["grantway", "stranger"]

        def test_the_plugin_is_loaded(self, grantway_register: Register) -> None:
            assert "urn:stranger" in grantway_register.registry.grants


# --- the issuer ---------------------------------------------------------------------------------


def test_the_issuer_issues_tokens_for_a_registered_grant(
    grantway_register: Register, grantway_issuer: LiveIssuer
) -> None:
    grantway_register(COUPON, issuer=Coupons())
    client = grantway_issuer.client(scope=["read"])
    token = client.create_token(grant_type=COUPON.grant_type, coupon="SPRING-2031")
    assert token.scope == ("read",)
    with pytest.raises(grantway.InvalidGrantException, match="The coupon is unknown"):
        client.create_token(grant_type=COUPON.grant_type, coupon="SPRING-1999")


def test_rejects_plugins_registered_after_the_issuer_started(
    grantway_register: Register, grantway_issuer: LiveIssuer
) -> None:
    assert grantway_issuer.url
    grantway_register(COUPON, issuer=Coupons())
    with pytest.raises(grantway.RegistryError, match="before grantway_issuer is first used"):
        grantway_issuer.client()


def test_reports_why_a_registration_was_rejected(grantway_issuer: LiveIssuer) -> None:
    with pytest.raises(grantway.ResponseInvalidError, match="rejected the client"):
        grantway_issuer.client(grant_types=["urn:example:unknown"])


@pytest.mark.parametrize("auth", ["none", "client_secret_post", "client_secret_basic"])
def test_logs_in_on_a_device(grantway_issuer: LiveIssuer, auth: str) -> None:
    client = grantway_issuer.client(auth=auth, timeout=PATIENCE)
    token = device_code.login(client, lambda _: None, scope=["write"])
    assert token.scope == ("write",)


def test_stepping_the_clock_expires_a_device_code(
    grantway_issuer: LiveIssuer, grantway_clock: FrozenClock
) -> None:
    flow = device_code.DeviceFlow(grantway_issuer.client())
    authorization = flow.start()
    grantway_clock.step(authorization.expires_in)
    with pytest.raises(grantway.ExpiredTokenException):
        flow.wait(authorization)


class TestIssuerSettings:
    """The fixture ``grantway_issuer_settings`` configures the issuer."""

    @pytest.fixture
    def grantway_issuer_settings(self) -> IssuerSettings:
        return IssuerSettings(registration="unrestricted")

    def test_a_login_can_be_denied(self, grantway_issuer: LiveIssuer) -> None:
        driver = grantway_issuer.browser_driver()
        flow = authorization_code.AuthorizationCodeFlow(grantway_issuer.client())
        request = flow.begin(REDIRECT_URI)
        assert "error=access_denied" in driver.deny_authorization(request.url)


# --- faults -------------------------------------------------------------------------------------


def test_plays_faults_in_order(
    grantway_register: Register, grantway_faults: Callable[..., FaultServer]
) -> None:
    grantway_register(COUPON)
    server = grantway_faults(faults.reset_early, faults.respond())
    provider = grantway.Provider(token_endpoint=server.token_endpoint)
    with grantway.Client(provider, client_id="me") as client:
        with pytest.raises(grantway.OutcomeUnknownError):
            client.create_token(grant_type=COUPON.grant_type, coupon="SPRING-2031")
        assert client.create_token(grant_type=COUPON.grant_type, coupon="SPRING-2031")
    assert [received.form["coupon"] for received in server.requests] == [["SPRING-2031"]]


# --- grantway's own grants ----------------------------------------------------------------------


OWN = build_registry(only=["grantway"])
#: Examples that replace abbreviated ones of the documentation.
ABBREVIATED = {
    "urn:ietf:params:oauth:grant-type:saml2-bearer": {"assertion": "PHNhbWw6QXNzZXJ0aW9uLz4"}
}


@pytest.mark.parametrize("grant_type", sorted(OWN.grants))
def test_grantways_own_grants_conform(grant_type: str) -> None:
    assert_grant_conforms(OWN.grant(grant_type), example=ABBREVIATED.get(grant_type, {}))


# --- startup ------------------------------------------------------------------------------------

#: Slow libraries that the plugin must not import at startup.
HEAVY = ("marshmallow", "requests", "sqlalchemy", "starlette", "uvicorn")


def suite(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one test in a new process."""
    (folder / "test_suite.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pytest_starts_without_importing_any_library(tmp_path: Path) -> None:
    done = suite(
        tmp_path,
        "import sys\n\n"
        "def test_nothing_is_loaded(request):\n"
        "    assert request.config.pluginmanager.hasplugin('grantway')\n"
        f"    assert [name for name in {HEAVY} if name in sys.modules] == []\n",
    )
    assert done.returncode == 0, done.stdout


def test_reports_a_missing_library_and_how_to_install_it(tmp_path: Path) -> None:
    done = suite(
        tmp_path,
        "import sys\n\nsys.modules['uvicorn'] = None\n\n"
        "def test_an_issuer(grantway_issuer):\n    pass\n",
    )
    assert "grantway_issuer needs uvicorn; install it with: pip install 'grantway[testing]'" in (
        done.stdout
    )
    assert "Traceback" not in done.stdout


def test_every_fixture_has_a_docstring() -> None:
    fixtures = {name: each for name, each in vars(plugin).items() if name.startswith("grantway_")}
    assert len(fixtures) == 6
    for fixture in fixtures.values():
        assert inspect.getdoc(fixture)
