"""Tests of plugins in separate distributions: built, installed, used, and faulty."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.distribution.environment import HERE, ROOT, Environment, build, uv, wheel

pytestmark = pytest.mark.slow

#: Distributions with their own tests.
PACKAGES = ("grantway-openid4vci", "grantway-ssh")
TYPE = "urn:acme:coupon"
GRANT = f"""
from grantway import Grant, GrantSchema, hookimpl

@hookimpl
def grantway_register_grants():
    return [Grant(grant_type="{TYPE}", schema=GrantSchema())]
"""
OBSERVER = """
from grantway import hookimpl

@hookimpl
def grantway_observe(event):
    raise RuntimeError("full disk")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A virtual environment with the wheels of grantway, acme-coupons and the packages."""
    folder = tmp_path_factory.mktemp("distribution")
    ours = build(ROOT, folder / "grantway")
    theirs = [build(HERE / name, folder / name) for name in ("acme-coupons", *PACKAGES)]
    made = Environment(folder / "environment")
    uv("venv", "--python", sys.executable, made.folder)
    made.install(f"{ours}[cli,issuer,testing]", *theirs)
    return made


def test_finds_the_plugin(environment: Environment) -> None:
    found = environment.plugin("acme-coupons/coupon")
    assert found.pop("load_milliseconds") > 0
    assert found == {
        "kind": "plugin",
        "name": "coupon",
        "owner": "acme-coupons 1.2",
        "distribution": "acme-coupons",
        "version": "1.2",
        "source": "acme_coupons.grant",
        "status": "loaded",
        "reason": "",
        "failed_at": "",
        "conflicts": [],
        "hooks": ["grantway_register_grants"],
        "contributions": {"grant": ["urn:acme:coupon"]},
    }
    grant = next(g for g in environment.grantway("grants")["grants"] if g["grant_type"] == TYPE)
    assert grant["issuer_grant"] is True
    assert [field["name"] for field in grant["fields"]] == ["coupon", "scope"]
    assert environment.grantway("doctor")["ok"] is True


def test_the_plugin_works_end_to_end(environment: Environment) -> None:
    report = environment.end_to_end()
    assert {TYPE, "refresh_token"} <= set(report.pop("supported"))
    assert report == {
        "scope": ["read"],
        "refresh_token": None,
        "errors": [
            "InvalidGrantException: The coupon is unknown",
            (
                "RequestInvalidError: Nothing was sent: coupon must not be empty; "
                f'expected something like "SPRING-2031" (grant_type {TYPE})'
            ),
        ],
        "observers": {},
    }


def test_the_tests_of_the_packages_pass(environment: Environment, tmp_path: Path) -> None:
    """They include the README's examples, and run with the installed wheels."""
    tests = [HERE / name / "tests" for name in PACKAGES]
    options = ["-q", "-p", "no:cacheprovider", "-c", HERE / PACKAGES[0] / "pyproject.toml"]
    done = environment.run("-m", "pytest", *options, "--rootdir", HERE, *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


VARIANTS = {
    "import error": (
        {"source": "import no_such_library"},
        "failed",
        "ModuleNotFoundError: No module named 'no_such_library'",
    ),
    "wrong group": (
        {"source": GRANT, "group": "grantway.v2"},
        "incompatible",
        (
            "it is for grantway.v2, but this grantway loads grantway.v1; install a version of "
            "variant for grantway.v1, or a grantway that loads grantway.v2"
        ),
    ),
    "wrong version": (
        {"source": GRANT, "requires": "grantway>=99"},
        "incompatible",
        (
            "it requires grantway>=99, but this is grantway 0.1.0; upgrade with pip install "
            "'grantway>=99', or install a version of variant that supports grantway 0.1.0"
        ),
    ),
    "misspelt hook": (
        {"source": GRANT.replace("register_grants", "regster_grants")},
        "failed",
        (
            "PluginLoadError: it implements the unknown hook grantway_regster_grants; "
            "did you mean grantway_register_grants?"
        ),
    ),
    "same name twice in one distribution": (
        {
            "source": GRANT,
            "entry_points": "[grantway.v1]\nvariant = variant\nvariant = variant:other\n",
        },
        "failed",
        (
            "variant 2.0 has duplicate entry points variant in grantway.v1: variant and "
            "variant:other; rename one of them"
        ),
    ),
}


@pytest.mark.parametrize(("parts", "state", "reason"), VARIANTS.values(), ids=VARIANTS)
def test_reports_a_faulty_plugin_and_keeps_the_others(
    environment: Environment, tmp_path: Path, parts: dict[str, str], state: str, reason: str
) -> None:
    with environment.unpacked(wheel(tmp_path, "variant", **parts)):
        found = environment.plugin("variant/variant")
        assert (found["status"], found["reason"]) == (state, reason)
        assert environment.end_to_end()["scope"] == ["read"]


def test_rejects_a_grant_that_two_plugins_register(
    environment: Environment, tmp_path: Path
) -> None:
    conflict = (
        "The grant 'urn:acme:coupon' is registered by acme-coupons 1.2 (coupon) and variant 2.0 "
        "(variant). Neither is used, because the order of loading never decides. To exclude "
        "variant, set GRANTWAY_PLUGINS=-variant in the environment. A program can choose with "
        "prefer={'urn:acme:coupon': 'variant'}, and the author of a plugin with "
        "replaces='acme-coupons'."
    )
    with environment.unpacked(wheel(tmp_path, "variant", GRANT)):
        for path in ("acme-coupons/coupon", "variant/variant"):
            found = environment.plugin(path)
            assert (found["status"], found["conflicts"]) == ("loaded", [conflict])
        grants = environment.grantway("grants")
        assert grants["conflicts"] == {TYPE: conflict}
        assert "refresh_token" in {each["grant_type"] for each in grants["grants"]}
        asked = f"import grantway; grantway.default_registry().grant({TYPE!r})"
        done = environment.run("-c", asked)
        assert done.stderr.splitlines()[-1] == (
            f"grantway.GrantConflictError: Nothing was sent. {conflict}"
        )
        # The remedy in the error works.
        assert environment.end_to_end(GRANTWAY_PLUGINS="-variant")["scope"] == ["read"]


def test_counts_errors_of_an_observer_and_returns_the_token(
    environment: Environment, tmp_path: Path
) -> None:
    with environment.unpacked(wheel(tmp_path, "variant", OBSERVER)):
        report = environment.end_to_end()
    assert report["scope"] == ["read"]
    assert report["observers"]["variant/variant"] > 0


def test_accepts_plugins_of_the_same_name_in_two_distributions(
    environment: Environment, tmp_path: Path
) -> None:
    source = GRANT.replace(TYPE, "urn:variant:coupon")
    points = "[grantway.v1]\ncoupon = variant\n"
    with environment.unpacked(wheel(tmp_path, "variant", source, points)):
        assert environment.plugin("acme-coupons/coupon")["reason"] == (
            "variant 2.0 also has a plugin named coupon; this one is acme-coupons/coupon"
        )
        found = environment.plugin("variant/coupon")
        assert (found["status"], found["reason"]) == (
            "loaded",
            "acme-coupons 1.2 also has a plugin named coupon; this one is variant/coupon",
        )
        assert environment.end_to_end()["scope"] == ["read"]
