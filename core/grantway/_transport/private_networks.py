"""Keep connections to servers that others choose out of private networks."""

from __future__ import annotations

from .connecting import Connector, connect
from .network import Network
from .public_addresses import (
    PrivateAddressError,
    PublicAddressError,
    is_private_literal,
    private_only,
    public_only,
)
from .route import Route
from .sending import Sending
from .stream import Stream


class PublicOnly:
    """Opens connections to hosts on the public internet.

    Args:
        home: The way to a server that the user chose. If it is on a private network, hosts on
            private networks are allowed. The operator of its name can have any address looked up,
            so this takes a TLS connection to a private address, in which the server proves its
            name; a URL with a private address needs none.
    """

    def __init__(self, home: Route | None = None) -> None:
        self._home = home
        self._allows_private = home is not None and is_private_literal(home.host)

    async def connect(
        self, connector: Connector, route: Route, network: Network, sending: Sending
    ) -> Stream:
        """Return a new connection; see ``connecting.connect``.

        Raises:
            PrivateAddressError: the host is on a private network, and that is not allowed.
        """
        if self._allows_private:
            return await connect(connector, route, network, sending)
        sending.choose = public_only
        try:
            return await connect(connector, route, network, sending)
        except PrivateAddressError:
            home = self._home
            if home is None or home.proxy is not None or not home.tls:
                raise
        is_home = route.key == home.key
        sending.choose = private_only
        try:
            stream = await connect(connector, home, network, sending)
        except OSError as error:
            if is_home and not isinstance(error, PublicAddressError):
                raise
            raise PrivateAddressError(unless=home.host) from None
        self._allows_private = True
        if is_home:
            return stream
        stream.close()
        sending.choose = None
        return await connect(connector, route, network, sending)
