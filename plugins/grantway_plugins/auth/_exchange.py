"""The steps between a response and the retry of its request, for sync and async clients."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal

from grantway._exceptions import Evidence
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._types.token import Token

from ._bearer import Bearer, TokenSource
from ._presentation import Answer, Prover, Retry
from ._step_up import StepUpChallenge, StepUpRequiredError

if TYPE_CHECKING:
    from ._step_up_tokens import StepUpTokens

#: Yields None for the next token of the source, or a challenge for a token that meets it.
#: Returns the headers of the next request, or None if the response is final.
_Steps = Generator[StepUpChallenge | None, Token | None, Params | None]


class Exchange(OneProcess):
    """One request with a token and its retries, which an adapter sends.

    Args:
        method: Method of the request.
        url: URL of the request.
        source: Source of tokens.
        bearer: The rules for sending a token.
        dpop: Makes the proofs for DPoP tokens, or None.
        step_up: Returns tokens for challenges. None raises an error; False returns the response.
        timeout: Maximum seconds to wait for a token, or None for the source's limit.

    Raises:
        InsecureEndpointError: The URL uses plain http on another machine.
        ConfigurationError: The origin of the URL is not among the allowed origins.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_asked",
        "_method",
        "_presented",
        "_source",
        "_step_up",
        "_timeout",
        "_url",
        "sent",
    )

    def __init__(
        self,
        method: str,
        url: str,
        *,
        source: TokenSource,
        bearer: Bearer,
        dpop: Prover | None = None,
        step_up: StepUpTokens | Literal[False] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._source = source
        self._step_up: StepUpTokens | Literal[False] | None = step_up
        self._timeout = timeout
        self._method, self._url = method, url
        #: The tokens that did not meet a challenge, and whether ``on_step_up`` was called for one.
        self._presented: tuple[Token, ...] = ()
        self._asked = False
        #: The presentation of the token.
        self.sent = bearer.present(url, dpop)

    def first(self) -> Params:
        """Return the headers of the first request."""
        return self.sent.headers(self._source.token(self._timeout), self._method, self._url)

    async def first_async(self) -> Params:
        """Return the headers of the first request."""
        token = await self._source.token_async(self._timeout)
        return self.sent.headers(token, self._method, self._url)

    def next(self, answer: Answer, response: Any, rewind: Callable[[], bool]) -> Params | None:
        """Return the headers for sending the request again, or None if the response is final.

        Args:
            answer: The response.
            response: The response as an object of the HTTP library, for an error.
            rewind: Moves back to the start of the body, and returns whether that was possible.

        Raises:
            StepUpRequiredError: The resource requires more scope or another login.
            GrantwayError: There is no other token.
        """
        steps, token = self._steps(answer, response, rewind), None
        while True:
            try:
                challenge = steps.send(token)
            except StopIteration as end:
                headers: Params | None = end.value
                return headers
            if challenge is None or not self._step_up:
                token = self._source.token(self._timeout)
            else:
                token, self._asked = self._step_up.token(challenge, self._presented)

    async def next_async(
        self, answer: Answer, response: Any, rewind: Callable[[], bool]
    ) -> Params | None:
        """Do the same as ``next`` without blocking the event loop."""
        steps, token = self._steps(answer, response, rewind), None
        while True:
            try:
                challenge = steps.send(token)
            except StopIteration as end:
                headers: Params | None = end.value
                return headers
            if challenge is None or not self._step_up:
                token = await self._source.token_async(self._timeout)
            else:
                token, self._asked = await self._step_up.token_async(challenge, self._presented)

    def _steps(self, answer: Answer, response: Any, rewind: Callable[[], bool]) -> _Steps:
        sent = self.sent
        outcome = sent.received(answer)
        if outcome is None:
            return None
        token: Token | None = sent.token
        if isinstance(outcome, StepUpChallenge):
            if self._step_up is False:
                return None
            if remedy := self._remedy(rewind):
                raise StepUpRequiredError(
                    f"{sent.origin} requires {outcome} ({outcome.error}): {remedy}.",
                    challenge=outcome,
                    response=response,
                    evidence=Evidence(status=answer.status, step="resource"),
                )
            self._presented = (*self._presented, sent.token)
            token = yield outcome
        else:
            if outcome is Retry.OTHER_TOKEN:
                self._source.invalidate(sent.token)
            if not rewind():
                return None
            if outcome is Retry.OTHER_TOKEN:
                token = yield None
        return None if token is None else sent.headers(token, answer.method, answer.url)

    def _remedy(self, rewind: Callable[[], bool]) -> str:
        """Return what the caller can do, or nothing if a token for a retry may be requested."""
        if not self._step_up:
            return (
                "get such a token, pass it to credential.accept(), and send the request again; or "
                "pass on_step_up=, a function that gets one"
            )
        if self._step_up.running:
            return "on_step_up sent this request; use a TokenAuth without on_step_up for it"
        if self._asked:
            return "the token that on_step_up returned does not meet this"
        if not rewind():
            return (
                "on_step_up was not called, because the body of the request cannot be sent again; "
                "send bytes or a seekable file"
            )
        return ""
