"""The additions of an extension to the issuer: endpoints, pages and metadata entries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

from grantway._types.callables import is_async, kind_of
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import BODY_CAP

from .errors import InvalidArgumentError
from .reply import Reply
from .request import IssuerRequest
from .view import Redirect, View

if TYPE_CHECKING:
    # A plugin's client side imports this module without the database library.
    from grantway_plugins.issuer._storage.transaction import Transaction

T = TypeVar("T")
Authenticate = Literal["client", "token"]
Accepts = Literal["form", "json"]
#: Methods with a body.
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
METHODS = frozenset({"GET", "DELETE"}) | WITH_BODY
#: Maximum size of a body that an extension may allow, in bytes.
MAX_BODY = 1_048_576
#: Maximum number of endpoints, and of pages, of one extension.
MOST = 1_000
#: Path segments that proxies and clients do not normalise.
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint for programs.

    Attributes:
        path: Path below the issuer's URL, such as ``/nonce``. A path below ``/.well-known/`` is
            also served in front of the issuer's path (RFC 8615).
        handle: Called with the request and the transaction, in the store's thread; returns the
            response. A ``Denial`` becomes an OAuth error, and its changes are committed. It may be
            called twice for one request, so change only the transaction, and do not block.
        methods: HTTP methods; ``GET`` includes ``HEAD``.
        accepts: Formats of the body: ``form``, ``json`` or both. JSON names are not converted.
        authenticate: ``client`` requires a registered client, with any method that the issuer
            supports. ``token`` requires an access token of this issuer (RFC 6750); the handler
            checks its scope. None accepts every caller.
        repeatable: Names of parameters that may be repeated in a form or query; their values are
            lists.
        max_bytes: Maximum size of the body.
        per_minute: Maximum number of requests per minute from one peer, and ten times as many from
            all peers together; None for no limit.
        cors: Whether web pages of the origins in ``cors_origins`` may use the endpoint.

    Raises:
        ValueError: a field is invalid.
    """

    path: str
    handle: Callable[[IssuerRequest, Transaction], Reply | Denial] = field(repr=False)
    methods: tuple[str, ...] = ("POST",)
    accepts: tuple[Accepts, ...] = ("form",)
    authenticate: Authenticate | None = None
    repeatable: frozenset[str] = frozenset()
    max_bytes: int = BODY_CAP
    per_minute: int | None = 600
    cors: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_path(self.path)
        check_handler("handle", self.handle)
        if not self.methods or not set(self.methods) <= METHODS:
            raise InvalidArgumentError(f"methods must be a tuple of {', '.join(sorted(METHODS))}")
        if not set(self.accepts) <= set(get_args(Accepts)):
            raise InvalidArgumentError('accepts must be a tuple of "form" and "json"')
        if self.authenticate not in {None, *get_args(Authenticate)}:
            raise InvalidArgumentError('authenticate must be "client", "token" or None')
        if not 0 < self.max_bytes <= MAX_BODY:
            raise InvalidArgumentError(f"max_bytes must be from 1 to {MAX_BODY}")
        if self.per_minute is not None and self.per_minute < 1:
            raise InvalidArgumentError("per_minute must be positive, or None for no limit")


@dataclass(frozen=True, slots=True)
class Page:
    """A page for users, in the issuer's layout.

    Attributes:
        path: Path below the issuer's URL, such as ``/gift``.
        show: Called with a GET request and the transaction, as ``Endpoint.handle`` is; returns the
            page, or where to continue. Its parameters are those of the query.
        submit: Called with a submitted form, whose CSRF token has been checked. None for a page
            without a form.

    Raises:
        ValueError: a field is invalid.
    """

    path: str
    show: Callable[[IssuerRequest, Transaction], View | Redirect] = field(repr=False)
    submit: Callable[[IssuerRequest, Transaction], View | Redirect] | None = field(
        default=None, repr=False
    )

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_path(self.path)
        check_handler("show", self.show)
        if self.submit is not None:
            check_handler("submit", self.submit)


@dataclass(frozen=True, slots=True)
class Additions:
    """The additions of an extension to the issuer.

    Attributes:
        endpoints: Endpoints for programs, each with its own path.
        pages: Pages for users, each with its own path.
        metadata: Entries of the issuer's metadata document (RFC 8414) by name. The standard entries
            cannot be changed.

    Raises:
        ValueError: a field is invalid, or two additions have the same path.
    """

    endpoints: Iterable[Endpoint] = ()
    pages: Iterable[Page] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Copy and validate the fields."""
        endpoints = _listed("endpoints", self.endpoints, Endpoint)
        pages = _listed("pages", self.pages, Page)
        object.__setattr__(self, "endpoints", endpoints)
        object.__setattr__(self, "pages", pages)
        object.__setattr__(self, "metadata", _json_object(self.metadata))
        paths = [*(each.path for each in endpoints), *(each.path for each in pages)]
        for path in paths:
            if paths.count(path) > 1:
                raise InvalidArgumentError(f"two additions have the path {path}; use one")


def _listed(name: str, additions: object, kind: type[T]) -> tuple[T, ...]:
    found = tuple(islice(additions, MOST + 1)) if isinstance(additions, Iterable) else ()
    if not isinstance(additions, Iterable) or len(found) > MOST:
        raise InvalidArgumentError(f"{name} must be a list of at most {MOST} entries")
    for each in found:
        if not isinstance(each, kind):
            raise InvalidArgumentError(
                f"{name} must contain {kind.__name__} objects, not {kind_of(each)}"
            )
    return found


def _json_object(entries: object) -> dict[str, Any]:
    try:
        encoded = json.dumps(dict(cast("Any", entries)), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        encoded = None
    if encoded is None:
        raise InvalidArgumentError("metadata must be a JSON object")
    copied: dict[str, Any] = json.loads(encoded)
    return copied


def check_path(path: object) -> None:
    """Reject a path that is not plain.

    Raises:
        ValueError: the path is invalid.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise InvalidArgumentError(
            f"path must begin with / and have segments of letters, digits and ._~-, like /nonce, "
            f"not {path!r:.80}"
        )


def check_handler(name: str, function: object) -> None:
    """Reject what cannot be called synchronously.

    Raises:
        ValueError: the function cannot be called, or is asynchronous.
    """
    if not callable(function) or is_async(function):
        raise InvalidArgumentError(f"{name} must be a plain function, not {kind_of(function)}")
