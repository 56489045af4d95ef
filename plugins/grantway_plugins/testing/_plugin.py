"""The fixtures. Each imports what it needs, because pytest imports this file in every run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from grantway.testing import Act, FaultServer, FrozenClock, Register
    from grantway_plugins.issuer import IssuerSettings

    from ._live_issuer import LiveIssuer

# ruff: noqa: PLC0415

#: Show the values in the failed assertions of the test classes in ``grantway.testing``.
pytest.register_assert_rewrite("grantway.testing._kits")


@pytest.fixture
def grantway_installed() -> Collection[str]:
    """Distributions whose installed plugins are loaded; override it to add some to grantway's.

    By default, third-party plugins are not loaded, so that results do not depend on what else is
    installed.
    """
    return ("grantway",)


@pytest.fixture
def grantway_register(grantway_installed: Collection[str]) -> Iterator[Register]:
    """Register a plugin or a grant until the end of the test."""
    from grantway.testing import isolated_registry

    with isolated_registry(grantway_installed) as register:
        yield register


@pytest.fixture
def grantway_clock() -> FrozenClock:
    """A clock that only the test moves. If a test uses it, so does the test's issuer."""
    from grantway.testing import FrozenClock

    return FrozenClock()


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    """Settings of ``grantway_issuer``; by default it approves every login automatically."""
    from grantway_plugins.issuer import IssuerSettings, Lifetimes

    return IssuerSettings(
        approve="auto", lifetimes=Lifetimes(device_interval=0), registration="unrestricted"
    )


@pytest.fixture
def grantway_issuer(
    request: pytest.FixtureRequest,
    grantway_register: Register,
    grantway_issuer_settings: IssuerSettings,
) -> Iterator[LiveIssuer]:
    """An issuer on a free port of 127.0.0.1 that supports the grants that the test registered.

    It starts when an attribute is first used, so register plugins before that.
    """
    try:
        from ._live_issuer import LiveIssuer
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("grantway"):
            raise
        pytest.fail(
            f"grantway_issuer needs {missing.name}; install it with: "
            "pip install 'grantway[testing]'",
            pytrace=False,
        )
    # Without the fixture, no test could move the clock, so the issuer uses the real time.
    held = "grantway_clock" in request.fixturenames
    clock = request.getfixturevalue("grantway_clock") if held else None
    with LiveIssuer(grantway_register, grantway_issuer_settings, clock) as issuer:
        yield issuer


@pytest.fixture
def grantway_faults() -> Iterator[Callable[..., FaultServer]]:
    """Start a server that plays a list of faults: ``grantway_faults(faults.respond(503))``."""
    from grantway.testing import FaultServer

    with ExitStack() as running:

        def start(*script: Act) -> FaultServer:
            return running.enter_context(FaultServer(*script))

        yield start
