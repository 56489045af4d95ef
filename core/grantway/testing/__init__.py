"""Test tools for plugin authors: fault servers, a manual clock, and tests for each kind of plugin.

::

    from grantway.testing import FaultServer, FrozenClock, assert_grant_conforms, faults

    def test_my_grant_conforms():
        assert_grant_conforms(COUPON)

grantway also installs pytest fixtures: ``grantway_register``, ``grantway_issuer``,
``grantway_faults`` and ``grantway_clock``. Each name here is imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import faults as faults
    from ._clock import FrozenClock as FrozenClock
    from ._conformance import (
        NonconformingGrantError as NonconformingGrantError,
        assert_grant_conforms as assert_grant_conforms,
    )
    from ._isolation import Register as Register, isolated_registry as isolated_registry
    from ._kits.client_auth import ClientAuthTests as ClientAuthTests
    from ._kits.dialects import DialectTests as DialectTests
    from ._kits.durable_stores import (
        DurableStoreTests as DurableStoreTests,
        RecordTests as RecordTests,
    )
    from ._kits.middleware import MiddlewareTests as MiddlewareTests
    from ._kits.observers import ObserverTests as ObserverTests
    from ._kits.on_loop import (
        store_on_loop as store_on_loop,
        transport_on_loop as transport_on_loop,
    )
    from ._kits.secret_sources import (
        ChangingSecretSourceTests as ChangingSecretSourceTests,
        SecretSourceTests as SecretSourceTests,
    )
    from ._kits.stores import StoreTests as StoreTests
    from ._kits.transports import TransportTests as TransportTests
    from ._rules import Fault as Fault
    from .faults import Act as Act, FaultServer as FaultServer, Received as Received, Stage as Stage

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._clock": "FrozenClock",
            "._conformance": "NonconformingGrantError assert_grant_conforms",
            "._isolation": "Register isolated_registry",
            "._kits.secret_sources": "ChangingSecretSourceTests SecretSourceTests",
            "._kits.client_auth": "ClientAuthTests",
            "._kits.dialects": "DialectTests",
            "._kits.durable_stores": "DurableStoreTests RecordTests",
            "._kits.middleware": "MiddlewareTests",
            "._kits.observers": "ObserverTests",
            "._kits.on_loop": "store_on_loop transport_on_loop",
            "._kits.stores": "StoreTests",
            "._kits.transports": "TransportTests",
            "._rules": "Fault",
            ".faults": "Act FaultServer Received Stage",
            ".": "faults",
        },
    )
