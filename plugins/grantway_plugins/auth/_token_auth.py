"""The token of a credential in requests of requests, httpx, httpx2 and aiohttp."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from grantway._processes.copies import check_parts
from grantway._types.callables import kind_of
from grantway._types.quantity import check_wait

from ._bearer import Bearer, TokenSource, check_source
from ._exchange import Exchange
from ._library_auth import LibraryAuth
from ._origin import invalid
from ._presentation import Prover
from ._step_up import OnStepUp, step_up_tokens


class TokenAuth(LibraryAuth):
    """Adds a credential's token to each request of requests, httpx, httpx2 or aiohttp.

    ::

        auth = TokenAuth(credential, origins=["https://api.example.com"])
        requests.get(url, auth=auth)
        httpx.get(url, auth=auth)  # and clients of httpx and httpx2, sync and async
        aiohttp.ClientSession(middlewares=[auth])

    A request is sent once more, provided that its body can be sent again (no body, bytes, text, a
    form, or a seekable file), in these cases:

    - The resource rejects the token with 401: the token is invalidated, and the request is sent
      with the next one.
    - The resource requires a nonce in the DPoP proof.
    - ``on_step_up`` returns a token with more scope or from another login.

    Otherwise the caller gets the response. Only the origin of the request receives the token, not
    the target of a redirect to another origin.

    With async clients the event loop is not blocked. With aiohttp, ``origins`` is required, and
    requests to other origins are sent without the token, because aiohttp sends redirects through
    the middleware like other requests.

    Args:
        credential: Source of tokens; for a pool, ``pool.credential(name)``.
        dpop: The ``DPoP`` object with the key that the tokens are bound to. By default the ``auth``
            of the credential's client, if it is one.
        on_step_up: Called with a ``StepUpChallenge`` if the resource requires more scope or another
            login; returns a token for one retry, or None to get the response. It may be async if
            the HTTP client is. By default ``StepUpRequiredError`` is raised. Concurrent requests
            call it one after the other, and each first tries the token that the credential has by
            then.
        header: As for ``Bearer``.
        scheme: As for ``Bearer``.
        origins: As for ``Bearer``. Set it if the HTTP client sends requests to several origins.
        timeout: Maximum seconds to wait for a token; ``math.inf`` for no limit. By default the
            timeout of the grantway client.

    Raises:
        ConfigurationError: An argument is invalid. A request raises the errors of
            ``Bearer.present`` and ``Credential.token``; it is not sent in that case.
        StepUpRequiredError: By a request: the resource requires more scope or another login.
    """

    def __init__(
        self,
        credential: TokenSource,
        *,
        dpop: Prover | None = None,
        on_step_up: OnStepUp | None = None,
        header: str = "Authorization",
        scheme: str | None = None,
        origins: Collection[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "dpop": dpop,
            "on_step_up": on_step_up,
            "header": header,
            "scheme": scheme,
            "origins": origins,
            "timeout": timeout,
        }
        check_source(credential)
        if dpop is None:
            dpop = getattr(credential, "client_auth", None)
            dpop = dpop if makes_proofs(dpop) else None
        elif not makes_proofs(dpop):
            raise invalid(
                "dpop",
                f"must be a grantway_plugins.client_auth.DPoP, or None, not {kind_of(dpop)}.",
            )
        self._credential = credential
        self._dpop = dpop
        self._bearer = Bearer(header=header, scheme=scheme, origins=origins)
        self._timeout = check_wait(timeout)
        self._step_up = step_up_tokens(credential, on_step_up, self._timeout)

    def _allows(self, url: str) -> bool:
        if not self._bearer.origins:
            raise invalid(
                "origins",
                "is required with aiohttp, whose redirects would take the token to other hosts; "
                'list the origins that may receive it, such as ["https://api.example.com"].',
            )
        return self._bearer.allows(url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments.

        Raises:
            TypeError: An argument cannot be pickled; names it.
        """
        given = {name: value for name, value in self._options.items() if value is not None}
        check_parts(self, credential=self._credential, **given)
        return partial(TokenAuth, **given), (self._credential,)

    def __repr__(self) -> str:
        return f"TokenAuth({self._credential!r})"

    def _exchange(self, method: str, url: str) -> Exchange:
        return Exchange(
            method,
            url,
            source=self._credential,
            bearer=self._bearer,
            dpop=self._dpop,
            step_up=self._step_up,
            timeout=self._timeout,
        )


def makes_proofs(dpop: object) -> bool:
    """Return whether an object makes DPoP proofs."""
    return callable(getattr(dpop, "proof", None)) and callable(getattr(dpop, "record_nonce", None))
