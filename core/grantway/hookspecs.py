"""Hook specifications: the contract between grantway and a plugin.

A plugin is a module or object with functions named after these and marked with
``grantway.hookimpl``. An entry point in the group ``grantway.v1`` names it::

    [project.entry-points."grantway.v1"]
    my_grant = "my_package.my_grant"

The ``register`` hooks are called once, when a registry is built, and their results are immutable.
``grantway_observe`` is the only hook that is called per request. A hook may leave out arguments.
``settings`` are those of the plugin, as the schema of ``grantway_register_settings`` loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from marshmallow import Schema

    from ._exceptions import TokenError
    from ._requests.client_auth import ClientAuthFactory
    from ._requests.login import LoginFlow
    from ._requests.middleware import Middleware
    from ._types.event import Event
    from ._types.grant import Grant, IssuerGrant
    from ._types.issuer_plugins import IssuerClientAuth, IssuerExtension, IssuerLogin
    from ._types.secret_source import SecretSourceFactory
    from ._types.store import StoreFactory
    from ._wire.dialect import Dialect

PROJECT = "grantway"
#: Entry-point group; the number is the version of this contract.
ENTRY_POINT_GROUP = "grantway.v1"
#: Entry-point group of commands. It is no hook, so that ``grantway --help`` imports no plugin.
COMMAND_GROUP = "grantway.commands"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def grantway_register_grants(settings: Any) -> Iterable[Grant] | Mapping[str, str]:
    """Register grants.

    ::

        @grantway.hookimpl
        def grantway_register_grants():
            return [Grant(grant_type="urn:example:coupon", schema=CouponSchema())]

    To import a grant only when it is used, return a reference instead:
    ``{"urn:example:coupon": "my_package.grants:COUPON"}``. An invalid grant is then an error of the
    first use. Such a grant cannot have ``replaces``.

    Returns:
        Grants, each with a grant_type that no other plugin registers, or grant_type -> reference.
    """
    raise NotImplementedError  # specifications have no behaviour


@hookspec
def grantway_register_issuer_grants(settings: Any) -> Mapping[str, IssuerGrant | str]:
    """Register the issuer's part of grants, so that the embedded issuer supports them.

    ::

        class Coupons:
            def decide(self, request, transaction):
                if request.params["coupon"] != "SPRING-2031":
                    return Denial("invalid_grant", "The coupon is unknown")
                return request.issue(subject="coupon-holder")

        @grantway.hookimpl
        def grantway_register_issuer_grants():
            return {"urn:example:coupon": Coupons()}

    ``Denial`` comes from ``grantway_plugins.issuer``. The issuer authenticates the client and
    validates the parameters before it calls ``decide``; afterwards it stores and sends the tokens.

    A reference instead of the object, such as ``"my_package.issuer:COUPONS"``, is imported only
    when an issuer starts, so that clients start faster.

    Returns:
        grant_type -> object with ``decide(request, transaction)``, or ``module:attribute`` of one.
        Ignored without a registered grant of that grant_type.
    """
    raise NotImplementedError


@hookspec
def grantway_register_issuer_extensions(settings: Any) -> Mapping[str, IssuerExtension | str]:
    """Register endpoints, pages and metadata entries of the embedded issuer.

    ::

        def new_nonce(request, transaction):
            nonce = secrets.token_urlsafe(32)
            transaction.records("acme-nonces").put(nonce, {}, until=request.now + 300)
            return Reply({"nonce": nonce})

        class Nonces:
            def extend(self, settings):
                return Additions(
                    endpoints=[Endpoint("/nonce", new_nonce)],
                    metadata={"nonce_endpoint": f"{settings.url}/nonce"},
                )

        @grantway.hookimpl
        def grantway_register_issuer_extensions():
            return {"nonces": Nonces()}

    ``Additions``, ``Endpoint`` and ``Reply`` come from ``grantway_plugins.issuer``. ``extend`` is
    called when an issuer starts. An extension that fails, or conflicts with the issuer or with
    another extension, is logged and left out.

    Returns:
        Name -> object with ``extend(settings)``, or ``module:attribute`` of one, which is imported
        when an issuer starts.
    """
    raise NotImplementedError


@hookspec
def grantway_register_issuer_client_auth(settings: Any) -> Mapping[str, IssuerClientAuth | str]:
    """Register client authentication methods that the embedded issuer verifies.

    ::

        from marshmallow import Schema, fields

        class ApiKeys:
            schema = Schema.from_dict({"api_key_sha256": fields.String(required=True)})()

            def client_id(self, request):
                return None  # clients send their client_id

            def verify(self, request, client, transaction):
                key = hashlib.sha256(request.headers.get("x-api-key", "").encode()).hexdigest()
                return hmac.compare_digest(key, client.metadata["api_key_sha256"])

        @grantway.hookimpl
        def grantway_register_issuer_client_auth():
            return {"api_key": ApiKeys()}

    The issuer lists the method in ``token_endpoint_auth_methods_supported``, and accepts it as the
    ``token_endpoint_auth_method`` of a client, together with the members that ``schema`` defines.
    ``grantway_register_client_auth`` registers the client's part.

    Returns:
        Method -> object with ``schema``, ``client_id(request)`` and ``verify(request, client,
        transaction)``, or ``module:attribute`` of one, which is imported when an issuer starts.
        Standard methods cannot be overridden.
    """
    raise NotImplementedError


@hookspec
def grantway_register_issuer_logins(
    settings: Any,
) -> Mapping[str, Callable[..., IssuerLogin] | str]:
    """Register ways in which users log in to the embedded issuer.

    ::

        class ProxyHeader:
            def __init__(self, *, header="X-Remote-User"):
                self.header = header

            def begin(self, request):
                name = request.headers.get(self.header)
                if not name:
                    return LoginFailure("Your browser did not come through the company's proxy.")
                return Identity(name)

            def finish(self, request):
                return self.begin(request)

        @grantway.hookimpl
        def grantway_register_issuer_logins():
            return {"proxy_header": ProxyHeader}

    ``Identity`` and ``LoginFailure`` come from ``grantway_plugins.issuer``. An issuer uses the
    login that ``IssuerSettings.login`` names, such as ``PluginLogin("proxy_header", {"header":
    "X-User"})``.

    Returns:
        Name -> callable that takes the options as keywords and returns an ``IssuerLogin``, or
        ``module:attribute`` of one, which is imported when an issuer starts.
    """
    raise NotImplementedError


@hookspec
def grantway_register_dialects(settings: Any) -> Iterable[Dialect] | Mapping[str, str]:
    """Register dialects, which a ``Provider`` refers to by name.

    ::

        @grantway.hookimpl
        def grantway_register_dialects():
            return [Dialect(name="comma", request=RequestShape(scope_separator=","))]

    Returns:
        Dialects, each with a name that no other plugin registers; or name -> reference, like
        ``my_package.dialects:COMMA``, which is imported when the dialect is used.
    """
    raise NotImplementedError


@hookspec
def grantway_register_middleware(settings: Any) -> Iterable[Middleware]:
    """Register middleware that runs around every call and receives mapped errors.

    ::

        def audit(exchange):
            response = yield exchange
            return response

        @grantway.hookimpl
        def grantway_register_middleware():
            return [audit]

    A middleware is a generator function, so that the same code serves blocking and asynchronous
    callers. ``yield exchange`` runs the rest of the chain; its value is the response, and it raises
    the error that the caller would get. To wait, yield ``grantway.Wait(seconds)`` instead of
    sleeping; its value is True if the caller cancelled the call.

    Middleware may yield the exchange again only if repeating the request is safe: the provider did
    not process it, or the grant's replay class allows it. Otherwise ``PluginError`` is raised. An
    exception such as ``CancelledError`` or ``KeyboardInterrupt`` always propagates, even if
    middleware catches it.

    If middleware raises after the provider issued a token, a credential stores the token first, and
    the error carries it as ``token``. A ``GrantwayError`` propagates, so that middleware can reject
    a token; other exceptions become ``PluginError``. Middleware runs for requests only: a
    credential returns a stored token without calling it.

    Returns:
        Generator functions of the exchange that return the response; the first one runs outermost.
    """
    raise NotImplementedError


@hookspec
def grantway_register_errors(settings: Any) -> Mapping[str, type[TokenError]]:
    """Register exception classes for non-standard error codes.

    ::

        class CouponSpent(TokenError):
            code = wire = "coupon_spent"

        @grantway.hookimpl
        def grantway_register_errors():
            return {"coupon_spent": CouponSpent}

    Returns:
        Error code -> class. Standard codes cannot be overridden.
    """
    raise NotImplementedError


@hookspec
def grantway_register_client_auth(settings: Any) -> Mapping[str, ClientAuthFactory]:
    """Register client authentication methods, which ``Client(auth=...)`` refers to by name.

    ::

        @dataclass(frozen=True)
        class ApiKey:
            client_id: str
            key: str = field(repr=False)

            def authenticate(self, request):
                request.headers["X-Api-Key"] = self.key

            def secrets(self):
                return (self.key,)

        @grantway.hookimpl
        def grantway_register_client_auth():
            return {"api_key": lambda client_id, client_secret: ApiKey(client_id, client_secret)}

    Returns:
        Method -> callable of client_id and client_secret (or None) that returns a ``ClientAuth``.
        Standard methods cannot be overridden.
    """
    raise NotImplementedError


@hookspec
def grantway_register_stores(settings: Any) -> Mapping[str, StoreFactory]:
    """Register token stores, which ``Registry.store`` creates by name.

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
                if not lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
                    raise grantway.StoreLockError(f"{self.label}: in use for {timeout:g} s")
                try:
                    yield 0
                finally:
                    lock.release()

        @grantway.hookimpl
        def grantway_register_stores():
            return {"dict": DictStore}

    Returns:
        Name -> callable that takes the store's options as keywords and returns a
        ``grantway.Store``.
    """
    raise NotImplementedError


@hookspec
def grantway_register_secret_sources(settings: Any) -> Mapping[str, SecretSourceFactory | str]:
    """Register sources of secrets, which ``Registry.secret_source`` creates by name.

    Profiles and gateway files use them as ``client_secret = { source = "vault", path = "..." }``.

    ::

        class VaultSecret:
            def __init__(self, *, path):
                self.path = path

            def read(self):
                found = vault.read(self.path)
                if found is None:
                    raise grantway.SecretUnavailableError(
                        f"the vault has no entry {self.path}; add it, or correct its path"
                    )
                return grantway.Secret(found.value, expires_at=found.expires_at)

        @grantway.hookimpl
        def grantway_register_secret_sources():
            return {"vault": VaultSecret}

    grantway caches what ``read`` returns, and calls it from one thread at a time.

    Returns:
        Name -> callable that takes the options as keywords and returns a
        ``grantway.SecretSource``, or ``module:attribute`` of one, which is imported on first use.
    """
    raise NotImplementedError


@hookspec
def grantway_register_login_flows(settings: Any) -> Mapping[str, LoginFlow | str]:
    """Register how ``grantway login`` works with a grant that needs the user.

    ::

        def log_in(login):
            login.screen.say("A code was sent to your phone.")
            return login.request(code=login.screen.ask_secret("Code"))

        @grantway.hookimpl
        def grantway_register_login_flows():
            return {"urn:example:otp": log_in}

    It is called for a profile with this ``grant``. The token that it returns is stored and later
    refreshed. If it raises an exception, nothing is stored. The logins with ``authorization_code``
    and ``device_code`` cannot be replaced.

    Returns:
        grant_type -> callable of a ``grantway.LoginContext`` that returns a ``grantway.Token``, or
        ``module:attribute`` of one, which is imported for a login.
    """
    raise NotImplementedError


@hookspec
def grantway_register_tenant_rules(
    settings: Any,
) -> Mapping[str, Callable[..., Callable[[Any], str]] | str]:
    """Register rules that find the tenant of a gateway's request, for ``tenant`` in its file.

    ::

        def by_prefix(*, separator="-"):
            def tenant(request):
                return request.host.partition(separator)[0]

            return tenant

        @grantway.hookimpl
        def grantway_register_tenant_rules():
            return {"prefix": by_prefix}

    A route uses it as ``tenant = "prefix"``, or with options as
    ``tenant = { rule = "prefix", separator = "." }``. The rule is called for each request, in the
    event loop, so it must not wait. If it raises an exception, the request gets a 503. A tenant
    decides which token a request gets: do not trust what a caller can choose.

    Returns:
        Name -> callable that takes the options as keywords and returns the rule, a function of a
        ``grantway_plugins.gateway.upstream.RequestContext`` that returns the tenant, or an empty
        string if there is none; or ``module:attribute`` of the callable.
    """
    raise NotImplementedError


@hookspec
def grantway_register_settings() -> Schema:
    """Declare the plugin's settings, which users write in a table ``[plugins.NAME]``.

    ::

        from marshmallow import Schema, fields

        class AuditSettings(Schema):
            url = fields.Url(load_default="https://audit.example.com")
            key = fields.String(load_default="")

        @grantway.hookimpl
        def grantway_register_settings():
            return AuditSettings()

        @grantway.hookimpl
        def grantway_register_middleware(settings):
            return [Audit(settings["url"], settings["key"]).middleware]

    Programs pass them to ``build_registry`` or ``reload``. Errors name the key, and in files the
    line, without values. The repr of the settings shows no values, unless ``post_load`` returns
    another object than a dictionary.

    Returns:
        An instance of a marshmallow schema. It loads an empty table if the user wrote none, so give
        a field a default value unless the plugin is of no use without it.
    """
    raise NotImplementedError


@hookspec
def grantway_observe(event: Event, settings: Any) -> None:
    """Receive an event when a call starts, is retried and ends.

    ::

        @grantway.hookimpl
        def grantway_observe(event):
            print(event.kind, event.grant_type, event.milliseconds)

    Exceptions of observers, except ``KeyboardInterrupt``, are counted and logged once; they do not
    affect the call.

    Args:
        event: The event. Contains no secret.
        settings: The settings of the plugin.
    """
