"""The steps between a response and the retry of its request, for sync and async clients."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, Protocol

from grantway._exceptions import Evidence
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._types.token import Token

from ._bearer import Bearer, TokenSource
from ._presentation import Answer, Prover, Retry
from ._step_up import StepUpChallenge, StepUpRequiredError

#: Yields None for the next token of the source, a challenge for a token that meets it, or a token
#: for one of another issuer. Returns the headers of the next request, or None if the response is
#: final.
_Steps = Generator[StepUpChallenge | Token | None, Token | None, Params | None]

_UNAUTHORIZED = 401
#: Most searches for another issuer because of one request. A search may return a token of the
#: former issuer, if another request has refreshed that token meanwhile.
_MOST_SEARCHES = 3


class StepUp(Protocol):
    """Gets tokens for challenges."""

    @property
    def name(self) -> str:
        """Name of the argument with the program's function, for errors."""
        ...

    @property
    def running(self) -> bool:
        """Whether that function sends the current request itself, so that it is not called."""
        ...

    def token(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Return a token for a retry, or None, and whether the function was called for it.

        Args:
            challenge: The requirements of the resource.
            presented: The tokens that do not meet them.
        """
        ...

    async def token_async(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Do the same as ``token`` without blocking the event loop."""
        ...

    def failed(self, challenge: StepUpChallenge) -> None:
        """Record that the token of the function does not meet a challenge."""
        ...


class Finder(Protocol):
    """Finds the issuer of a resource, whose first request is sent without a token."""

    def first_token(self) -> Token | None:
        """Return a token, or None if only a login gets one."""
        ...

    async def first_token_async(self) -> Token | None:
        """Do the same as ``first_token`` without blocking the event loop."""
        ...

    def record_challenge(self, challenges: str) -> None:
        """Record the challenge of a 401 response."""
        ...

    def token_of_other_issuer(self, token: Token) -> Token | None:
        """Return a token of another issuer, or None if the issuer is the same.

        Args:
            token: A token that the resource rejected, like the one before it.
        """
        ...

    async def token_of_other_issuer_async(self, token: Token) -> Token | None:
        """Do the same as ``token_of_other_issuer`` without blocking the event loop."""
        ...


class Exchange(OneProcess):
    """One request with a token and its retries, which an adapter sends.

    Args:
        method: Method of the request.
        url: URL of the request.
        source: Source of tokens.
        bearer: The rules for sending a token.
        dpop: Makes the proofs for DPoP tokens, or None.
        step_up: Returns tokens for challenges. None raises an error; False returns the response.
        finder: Finds the issuer if there is no token, or if the resource rejects a token and its
            replacement; None if the issuer is known.
        timeout: Maximum seconds to wait for a token, or None for the source's limit.
        covers: Returns whether a URL may get the token; None for all of its origin. With it, HTTP
            libraries must not repeat the token on a redirect, which may lead elsewhere.

    Raises:
        InsecureEndpointError: The URL uses plain http on another machine.
        ConfigurationError: The origin of the URL is not among the allowed origins.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_called",
        "_covers",
        "_finder",
        "_method",
        "_presented",
        "_searches",
        "_source",
        "_step_up",
        "_timeout",
        "_url",
        "_without_token",
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
        step_up: StepUp | Literal[False] | None = None,
        finder: Finder | None = None,
        timeout: float | None = None,
        covers: Callable[[str], bool] | None = None,
    ) -> None:
        self._covers = covers
        self._source = source
        self._step_up: StepUp | Literal[False] | None = step_up
        self._finder = finder
        #: How often the finder has searched for another issuer.
        self._searches = 0
        #: Whether the request was sent without a token.
        self._without_token = False
        self._timeout = timeout
        self._method, self._url = method, url
        #: The tokens that did not meet a challenge, and whether the function was called for one.
        self._presented: tuple[Token, ...] = ()
        self._called = False
        #: The presentation of the token.
        self.sent = bearer.present(url, dpop)
        self.sent.private = covers is not None

    def first(self, rewind: Callable[[], bool]) -> Params:
        """Return the headers of the first request; none if it is sent without a token.

        Args:
            rewind: Moves back to the start of the body, and returns whether that was possible.
        """
        if self._finder is None or not rewind():
            return self._first(self._source.token(self._timeout))
        return self._first(self._finder.first_token())

    async def first_async(self, rewind: Callable[[], bool]) -> Params:
        """Do the same as ``first`` without blocking the event loop."""
        if self._finder is None or not rewind():
            return self._first(await self._source.token_async(self._timeout))
        return self._first(await self._finder.first_token_async())

    def _first(self, token: Token | None) -> Params:
        self._without_token = token is None
        return Params() if token is None else self.sent.headers(token, self._method, self._url)

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
            if isinstance(challenge, Token):
                token = self._counted_finder().token_of_other_issuer(challenge)
            elif challenge is None or not self._step_up:
                token = self._source.token(self._timeout)
            else:
                try:
                    token, self._called = self._step_up.token(challenge, self._presented)
                except StepUpRequiredError as error:
                    error.response = response
                    raise

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
            if isinstance(challenge, Token):
                token = await self._counted_finder().token_of_other_issuer_async(challenge)
            elif challenge is None or not self._step_up:
                token = await self._source.token_async(self._timeout)
            else:
                try:
                    token, self._called = await self._step_up.token_async(
                        challenge, self._presented
                    )
                except StepUpRequiredError as error:
                    error.response = response
                    raise

    def _counted_finder(self) -> Finder:
        """Return the finder, for one more search for another issuer."""
        finder = self._finder
        assert finder is not None  # _steps has checked it
        self._searches += 1
        if self._searches == _MOST_SEARCHES:
            self._finder = None
        return finder

    def _steps(self, answer: Answer, response: Any, rewind: Callable[[], bool]) -> _Steps:
        sent = self.sent
        if self._covers is not None and not self._covers(answer.url):
            return None  # of another resource, to which a redirect led
        refused = answer.status == _UNAUTHORIZED and sent.has_same_origin(answer.url)
        if refused and self._finder is not None and "insufficient_" not in answer.challenges:
            self._finder.record_challenge(answer.challenges)
        token: Token | None = None
        if self._without_token:
            if refused and rewind():
                self._without_token = False
                token = yield None
        else:
            outcome = sent.received(answer)
            if isinstance(outcome, StepUpChallenge):
                token = yield from self._step_up_to(outcome, answer, response, rewind)
            elif outcome is None:
                if sent.exhausted and self._finder is not None and rewind():
                    token = yield sent.token
            else:
                if outcome is Retry.OTHER_TOKEN:
                    self._source.invalidate(sent.token)
                if rewind():
                    token = (yield None) if outcome is Retry.OTHER_TOKEN else sent.token
        return None if token is None else sent.headers(token, answer.method, answer.url)

    def _step_up_to(
        self,
        challenge: StepUpChallenge,
        answer: Answer,
        response: Any,
        rewind: Callable[[], bool],
    ) -> Generator[StepUpChallenge, Token | None, Token | None]:
        """Return a token that meets a challenge, or None if the response is final."""
        if self._step_up is False:
            return None
        if remedy := self._remedy(challenge, rewind):
            raise StepUpRequiredError(
                f"{self.sent.origin} requires {challenge} ({challenge.error}): {remedy}.",
                challenge=challenge,
                response=response,
                evidence=Evidence(status=answer.status, step="resource"),
            )
        self._presented = (*self._presented, self.sent.token)
        return (yield challenge)

    def _remedy(self, challenge: StepUpChallenge, rewind: Callable[[], bool]) -> str:
        """Return what the caller can do, or nothing if a token for a retry may be requested."""
        if not self._step_up:
            return (
                "get such a token, pass it to credential.accept(), and send the request again; or "
                "pass on_step_up=, a function that gets one"
            )
        name = self._step_up.name
        if self._step_up.running:
            return f"{name} sent this request; send it with an object without {name}"
        if self._called:
            self._step_up.failed(challenge)
            return f"the token that {name} returned does not meet this"
        if not rewind():
            return (
                f"{name} was not called, because the body of the request cannot be sent again; "
                "send bytes or a seekable file"
            )
        return ""
