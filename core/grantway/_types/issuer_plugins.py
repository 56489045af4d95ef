"""Additions of plugins to the embedded issuer, besides the issuer's part of a grant."""

from __future__ import annotations

from typing import Any, Protocol


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
