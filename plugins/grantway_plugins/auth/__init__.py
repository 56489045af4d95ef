"""The token of a credential in the requests of HTTP libraries.

::

    from grantway_plugins.auth import TokenAuth

    requests.get("https://api.example.com/things", auth=TokenAuth(credential))

``TokenAuth`` works with requests, httpx, httpx2 and aiohttp. It imports a library only when that
library uses it. ``ResourceAuth`` does the same for a resource of which a program knows only the
URL: it finds the authorization server and logs in.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._bearer import Bearer as Bearer, TokenSource as TokenSource
    from ._body import Body as Body
    from ._presentation import (
        Answer as Answer,
        Presentation as Presentation,
        Prover as Prover,
        Retry as Retry,
    )
    from ._resource.resource_auth import ResourceAuth as ResourceAuth
    from ._step_up import (
        StepUpChallenge as StepUpChallenge,
        StepUpRequiredError as StepUpRequiredError,
    )
    from ._token_auth import TokenAuth as TokenAuth

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._bearer": "Bearer TokenSource",
            "._body": "Body",
            "._presentation": "Answer Presentation Prover Retry",
            "._resource.resource_auth": "ResourceAuth",
            "._step_up": "StepUpChallenge StepUpRequiredError",
            "._token_auth": "TokenAuth",
        },
    )
