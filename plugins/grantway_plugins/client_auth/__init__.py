"""Client authentication with signed assertions, TLS certificates and DPoP.

::

    from grantway_plugins.client_auth import DPoP, PrivateKeyJwt, SigningKey

    auth = PrivateKeyJwt("my-client", SigningKey(Path("key.pem").read_text(), kid="2024-1"))
    client = grantway.Client(provider, client_id="my-client", auth=auth)

All classes but ``MutualTls`` require the extra ``jose``. Importing the package does not import it.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._assertions import ClientSecretJwt as ClientSecretJwt, PrivateKeyJwt as PrivateKeyJwt
    from ._dpop import DPoP as DPoP
    from ._keys import SigningKey as SigningKey
    from ._mutual_tls import MutualTls as MutualTls

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._assertions": "ClientSecretJwt PrivateKeyJwt",
            "._dpop": "DPoP",
            "._keys": "SigningKey",
            "._mutual_tls": "MutualTls",
        },
    )
