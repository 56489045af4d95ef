"""Every hook: the whole contract between grantway and a plugin.

A plugin is a module or object with functions named after these, each marked with
``grantway.hookimpl``, and named in the entry-point group ``grantway.v1``::

    [project.entry-points."grantway.v1"]
    my_grant = "my_package.my_grant"

The ``register`` hooks are called once, when a registry is built, and their results are frozen.
Nothing calls a plugin's hook on the way of a token but ``grantway_observe``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ._exceptions import TokenError
    from ._requests.client_auth import ClientAuthFactory
    from ._requests.middleware import Middleware
    from ._types.event import Event
    from ._types.grant import Grant, IssuerGrant
    from ._types.store import StoreFactory
    from ._wire.dialect import Dialect

PROJECT = "grantway"
#: Entry-point group; the number is the version of this contract.
ENTRY_POINT_GROUP = "grantway.v1"

#: What a plugin may declare as ``GRANTWAY_API``, to be refused with a reason by any other version.
API = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def grantway_register_grants() -> Iterable[Grant]:
    """Bring grants.

    ::

        @grantway.hookimpl
        def grantway_register_grants():
            return [Grant(grant_type="urn:example:coupon", schema=CouponSchema())]

    Returns:
        Grants, each with a grant_type that no other plugin brings.
    """
    raise NotImplementedError  # the specification has no behaviour of its own


@hookspec
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Bring the issuer's side of grants, so that the embedded issuer answers them.

    ::

        class Coupons:
            def decide(self, request, transaction):
                if request.params["coupon"] != "SPRING-2031":
                    return Denial("invalid_grant", "The coupon is unknown")
                return request.issue(subject="coupon-holder")

        @grantway.hookimpl
        def grantway_register_issuer_grants():
            return {"urn:example:coupon": Coupons()}

    ``Denial`` comes from ``grantway_plugins.issuer``. Before ``decide`` is called the issuer has
    authenticated the client and checked the parameters against the grant's schema; afterwards it
    stores, issues and answers.

    Returns:
        grant_type -> object with ``decide(request, transaction)``. One without a registered grant
        of that grant_type is not offered.
    """
    raise NotImplementedError


@hookspec
def grantway_register_dialects() -> Iterable[Dialect]:
    """Bring dialects, which a ``Provider`` then asks for by name.

    ::

        @grantway.hookimpl
        def grantway_register_dialects():
            return [Dialect(name="comma", request=RequestShape(scope_separator=","))]

    Returns:
        Dialects, each with a name that no other plugin brings.
    """
    raise NotImplementedError


@hookspec
def grantway_register_middleware() -> Iterable[Middleware]:
    """Bring middleware that runs around the error mapping of every call.

    ::

        def stamp(exchange, call_next):
            return call_next(exchange)

        @grantway.hookimpl
        def grantway_register_middleware():
            return [stamp]

    Middleware may call ``call_next`` again only where a second send does no harm: the provider did
    nothing, or the grant's replay class allows it. Otherwise ``PluginError`` is raised.

    Whatever middleware raises once the provider has issued a token, the token is not lost: a
    credential stores it first, and the error carries it as ``token``. A ``GrantwayError`` keeps its
    class, so that middleware can refuse a token; anything else becomes ``PluginError``. Middleware
    sees requests only: a credential gives out a stored token without asking it again.

    Returns:
        Callables ``(exchange, call_next) -> answer``; the first one returned runs outermost.
    """
    raise NotImplementedError


@hookspec
def grantway_register_errors() -> Mapping[str, type[TokenError]]:
    """Bring exception classes for error codes that have none.

    ::

        class CouponSpent(TokenError):
            code = wire = "coupon_spent"

        @grantway.hookimpl
        def grantway_register_errors():
            return {"coupon_spent": CouponSpent}

    Returns:
        Code on the wire -> class. The standard codes cannot be taken over.
    """
    raise NotImplementedError


@hookspec
def grantway_register_client_auth() -> Mapping[str, ClientAuthFactory]:
    """Bring ways for a client to prove who it is, which ``Client(auth=...)`` asks for by name.

    ::

        @dataclass(frozen=True)
        class ApiKey:
            client_id: str
            key: str = field(repr=False)

            def authenticate(self, draft):
                draft.headers["X-Api-Key"] = self.key

            def secrets(self):
                return (self.key,)

        @grantway.hookimpl
        def grantway_register_client_auth():
            return {"api_key": lambda client_id, client_secret: ApiKey(client_id, client_secret)}

    Returns:
        Method -> callable of client_id and client_secret (or None) that makes the strategy. The
        standard methods cannot be taken over.
    """
    raise NotImplementedError


@hookspec
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Bring places where tokens rest, which ``Registry.store`` makes by name.

    ::

        import threading
        from contextlib import contextmanager

        class DictStore:
            def __init__(self, *, label=""):
                self.label, self._tokens, self._locks = label, {}, {}

            def load(self, key):
                return self._tokens.get(key)

            def save(self, key, token, *, fence=0):
                self._tokens[key] = token

            def delete(self, key, *, fence=0):
                self._tokens.pop(key, None)

            @contextmanager
            def lock(self, key, timeout):
                lock = self._locks.setdefault(key, threading.Lock())
                if not lock.acquire(timeout=timeout):
                    raise grantway.StoreLockError(f"{self.label}: in use for {timeout:g} s")
                try:
                    yield 0
                finally:
                    lock.release()

        @grantway.hookimpl
        def grantway_register_stores():
            return {"dict": DictStore}

    Returns:
        Name -> callable that takes the store's options by name and makes a ``grantway.Store``.
    """
    raise NotImplementedError


@hookspec
def grantway_observe(event: Event) -> None:
    """Be told of every call as it starts, waits to be retried, and ends.

    ::

        @grantway.hookimpl
        def grantway_observe(event):
            print(event.kind, event.grant_type, event.milliseconds)

    An observer that raises anything but ``KeyboardInterrupt`` is counted and logged once; the token
    still arrives.

    Args:
        event: What happened. Holds no secret.
    """
