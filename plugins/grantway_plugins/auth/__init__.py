"""Where tokens are used: a credential as the authentication of other libraries.

::

    from grantway_plugins.auth import RequestsAuth

    requests.get("https://api.example.com/things", auth=RequestsAuth(credential))

``RequestsAuth`` needs nothing but grantway, ``HttpxAuth`` its extra ``httpx``, and
``BotocoreTokenProvider`` its extra ``aws``. What they have in common is ``Bearer``, which sends
nothing itself and serves any other HTTP library. Importing the package loads none of them.
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
