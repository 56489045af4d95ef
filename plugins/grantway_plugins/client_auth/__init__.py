"""More ways for a client to prove who it is, beyond a name and a secret.

::

    from grantway_plugins.client_auth import DPoP, PrivateKeyJwt, SigningKey

    auth = PrivateKeyJwt("my-client", SigningKey(Path("key.pem").read_text(), kid="2024-1"))
    client = grantway.Client(provider, client_id="my-client", auth=auth)

``MutualTls`` needs nothing but grantway, ``AwsIam`` its extra ``aws``, and the others its extra
``jose``. Importing the package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assertions import ClientSecretJwt, PrivateKeyJwt
    from .aws_iam import AwsIam
    from .dpop import DPoP
    from .keys import SigningKey
    from .mutual_tls import MutualTls

_HOME = {
    "AwsIam": "aws_iam",
    "ClientSecretJwt": "assertions",
    "DPoP": "dpop",
    "MutualTls": "mutual_tls",
    "PrivateKeyJwt": "assertions",
    "SigningKey": "keys",
}

__all__ = ["AwsIam", "ClientSecretJwt", "DPoP", "MutualTls", "PrivateKeyJwt", "SigningKey"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
