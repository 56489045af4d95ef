"""For the tests of a plugin's author: faults to order, a clock that stands still, and the rules.

::

    from grantway.testing import FaultServer, FrozenClock, assert_grant_conforms, faults

    def test_my_grant_conforms():
        assert_grant_conforms(COUPON)

Installing grantway also brings pytest fixtures: ``grantway_register``, ``grantway_issuer``,
``grantway_faults`` and ``grantway_clock``. Nothing here is loaded before it is used.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from . import faults
    from .clock import FrozenClock
    from .conformance import NonconformingGrantError, assert_grant_conforms
    from .faults import Act, FaultServer, Received, Stage
    from .isolation import Register, isolated_registry
    from .rules import Fault

_HOMES = {
    "clock": ("FrozenClock",),
    "conformance": ("NonconformingGrantError", "assert_grant_conforms"),
    "faults": ("Act", "FaultServer", "Received", "Stage"),
    "isolation": ("Register", "isolated_registry"),
    "rules": ("Fault",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Act",
    "Fault",
    "FaultServer",
    "FrozenClock",
    "NonconformingGrantError",
    "Received",
    "Register",
    "Stage",
    "assert_grant_conforms",
    "faults",
    "isolated_registry",
]


def __getattr__(name: str) -> "Any":
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None and name != "faults":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module: ModuleType = import_module(f"{__name__}.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
