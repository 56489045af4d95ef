"""Additions of plugins to the embedded issuer, besides the issuer's part of a grant."""

from __future__ import annotations

from typing import Any, Protocol

from .callables import is_async, kind_of


class IssuerExtension(Protocol):
    """Endpoints, pages and metadata entries that a plugin adds to the issuer.

    Called by ``grantway_plugins.issuer``.
    """

    def extend(self, settings: Any) -> Any:
        """Return what the extension adds to an issuer that is about to start.

        Args:
            settings: The issuer's ``grantway_plugins.issuer.IssuerSettings``, including its URL.

        Returns:
            A ``grantway_plugins.issuer.Additions``.
        """
        ...


class IssuerClientAuth(Protocol):
    """The issuer's part of a client authentication method.

    Called by ``grantway_plugins.issuer``.

    Attributes:
        schema: A marshmallow schema of the method's own client metadata, such as ``jwks``; None if
            it has none. The loaded and dumped members are stored with the client.
    """

    schema: Any

    def client_id(self, request: Any) -> str | None:
        """Return the client id that the credentials of a request name, without verifying them.

        Called only for a request without ``client_id`` and without a client secret.

        Args:
            request: A ``grantway_plugins.issuer.IssuerRequest``.

        Returns:
            The client id, or None if the request has no credentials of this method.
        """
        ...

    def verify(self, request: Any, client: Any, transaction: Any) -> Any:
        """Verify the credentials of a client that is registered for this method.

        The issuer may call this twice for one request, so change only the transaction.

        Args:
            request: A ``grantway_plugins.issuer.IssuerRequest``.
            client: The ``grantway_plugins.issuer.RegisteredClient``.
            transaction: A ``grantway_plugins.issuer.Transaction``.

        Returns:
            True if the client is authenticated; False, or a ``grantway_plugins.issuer.Denial`` with
            a more specific error, if it is not.
        """
        ...


class IssuerLogin(Protocol):
    """A way in which users log in to the issuer.

    Both methods are called in a thread outside of a database transaction, so they may block, for at
    most a few seconds.
    """

    def begin(self, request: Any) -> Any:
        """Begin a login.

        Args:
            request: A ``grantway_plugins.issuer.LoginRequest`` without parameters.

        Returns:
            One of these types of ``grantway_plugins.issuer``: a ``View`` with a form, a
            ``LoginRedirect`` to another site, an ``Identity`` if the user is known already, or a
            ``LoginFailure``.
        """
        ...

    def finish(self, request: Any) -> Any:
        """Continue a login with a submitted form, or with the parameters of the other site.

        Args:
            request: A ``grantway_plugins.issuer.LoginRequest``.

        Returns:
            As ``begin``.
        """
        ...


def problem_of(login: object) -> str:
    """Return why an object cannot be used as a login of the issuer; empty if it can."""
    if login is None or isinstance(login, type):
        return f"is {kind_of(login)}"
    for name in ("begin", "finish"):
        method = getattr(login, name, None)
        if not callable(method):
            return f"has no method {name}"
        if is_async(method):
            return f"has an asynchronous method {name}, and the issuer calls it in a thread"
    return ""
