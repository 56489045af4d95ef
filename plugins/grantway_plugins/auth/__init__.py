"""Adapters that authenticate the requests of HTTP libraries with a credential.

::

    from grantway_plugins.auth import RequestsAuth

    requests.get("https://api.example.com/things", auth=RequestsAuth(credential))

``HttpxAuth`` requires the extra ``httpx``. Both adapters use ``Bearer``, which sends nothing itself
and works with any other HTTP library. Importing the package does not import the libraries.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._bearer import Bearer as Bearer, Presentation as Presentation, TokenSource as TokenSource
    from ._body import Body as Body
    from ._httpx_auth import HttpxAuth as HttpxAuth
    from ._requests_auth import RequestsAuth as RequestsAuth

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._bearer": "Bearer Presentation TokenSource",
        "._body": "Body",
        "._httpx_auth": "HttpxAuth",
        "._requests_auth": "RequestsAuth",
    },
)
