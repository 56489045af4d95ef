"""Sources of secrets: environment variables, files and the system's key ring.

::

    from grantway_plugins.secrets import FileSecret

    secret = FileSecret("/run/secrets/client-secret")
    client = grantway.Client(provider, client_id="my-client", client_secret=secret)

``KeyringSecret`` requires the extra ``keyring``.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._environment import EnvironmentSecret as EnvironmentSecret
    from ._file import FileSecret as FileSecret
    from ._keyring import KeyringSecret as KeyringSecret

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._environment": "EnvironmentSecret",
        "._file": "FileSecret",
        "._keyring": "KeyringSecret",
    },
)
