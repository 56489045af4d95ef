"""The use of a token in one request and its retries, without I/O (RFC 6750, 9449 and 9470)."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cachetools import TTLCache

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._types.token import Token
from grantway._wire.challenges import parse_challenges

from ._origin import Origin, origin_of
from ._step_up import StepUpChallenge, step_up_of

if TYPE_CHECKING:
    from ._bearer import Bearer

_DPOP = "dpop"
_UNAUTHORIZED, _REDIRECTS = 401, 300
#: The only error for which another token may help (RFC 6750 section 3.1).
_INVALID_TOKEN = "invalid_token"

#: Tokens that an origin accepted during the last hour.
_ACCEPTED: MutableMapping[tuple[str, Origin], bool] = TTLCache(1024, 3600.0, time.monotonic)
#: Replacement tokens that an origin rejected as well, and how many more it may reject in a row.
#: With none left, a 401 does not cause another refresh for a minute. Otherwise each request to a
#: resource that rejects every token would also send a request to the provider.
_FUTILE: MutableMapping[tuple[str, Origin], int] = TTLCache(1024, 60.0, time.monotonic)
#: Most replacements that are rejected in a row after a token that the origin accepted: they may
#: have been revoked as well. After any other token it is one.
_MOST = 3
_futile_guard = threading.Lock()


class Prover(Protocol):
    """An object that makes DPoP proofs, such as ``grantway_plugins.client_auth.DPoP``."""

    def proof(self, method: str, url: str, *, access_token: str | None = None) -> str:
        """Return a new proof with the newest nonce of the server."""
        ...

    def record_nonce(self, url: str, status: int, headers: Mapping[str, str]) -> bool:
        """Record the nonce in a response, and return whether the request lacked it."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of a response that concern authentication.

    Attributes:
        status: Status code.
        challenges: Value of ``WWW-Authenticate``. Join repeated headers by commas; empty without.
        nonce: Value of ``DPoP-Nonce``, or an empty string.
        method: Method of the request, after redirects.
        url: URL of the request, after redirects.
        has_token: Whether that request had the token. A redirect may have removed it.
    """

    status: int
    challenges: str = field(repr=False)
    nonce: str = field(repr=False)
    method: str
    url: str = field(repr=False)
    has_token: bool = True


class Retry(enum.Enum):
    """Why a request should be sent again."""

    #: Send it with new headers for the same token.
    SAME_TOKEN = "same_token"
    #: The resource rejected the token: invalidate it, and send the request with another one.
    OTHER_TOKEN = "other_token"


class Presentation(OneProcess):
    """The use of a token in one request. Created by ``Bearer.present``.

    It sends nothing itself, so every HTTP library can use it::

        presentation = bearer.present(url)
        headers = presentation.headers(source.token(), method, url)
        # Send the request with these headers. Then, for each response:
        match presentation.received(Answer(...)):
            case Retry.SAME_TOKEN:
                headers = presentation.headers(presentation.token, method, url)
            case Retry.OTHER_TOKEN:
                source.invalidate(presentation.token)
                headers = presentation.headers(source.token(), method, url)
            case StepUpChallenge() as challenge:
                ...  # another token is needed, with more scope or from another login
            case None:
                ...  # the response is final

    Each reason leads to at most one retry.

    Attributes:
        exhausted: Whether the resource rejected the token, and its replacement as well.
        origin: Origin of the request, the only one that receives the token.
        private: Whether a redirect must not repeat the header, even within the origin.
        token: The token of the last call of ``headers``.
        value: Value of the header with that token.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_bearer",
        "_done",
        "_dpop",
        "_left",
        "_proof",
        "exhausted",
        "origin",
        "private",
        "token",
        "value",
    )

    def __init__(self, bearer: Bearer, origin: Origin, dpop: Prover | None = None) -> None:
        self._bearer = bearer
        self._dpop = dpop
        self._done: set[str] = set()
        #: How many replacements of the first token may be rejected; None if it is unknown.
        self._left: int | None = None
        self._proof = ""
        self.exhausted = False
        self.origin = origin
        self.private = False
        self.token = Token("")
        self.value = ""

    @property
    def bound(self) -> bool:
        """Whether the token is bound to a key, so that each request needs its own proof."""
        return self._dpop is not None and self.token.token_type.lower() == _DPOP

    def headers(self, token: Token, method: str, url: str) -> Params:
        """Return the headers to add to the next request, as a dictionary.

        Args:
            token: The token to present.
            method: Method of the request.
            url: URL of the request.

        Raises:
            ConfigurationError: As for ``Bearer.value``.
        """
        self.value = self._bearer.value(token, proof=self._dpop is not None)
        self.token = token
        if self._dpop is None or not self.bound:
            return Params({self._bearer.header: self.value})
        self._proof = self._dpop.proof(method, url, access_token=token.access_token)
        return Params({"Authorization": self.value, "DPoP": self._proof})

    def received(self, answer: Answer) -> Retry | StepUpChallenge | None:
        """Record a response, and return why to retry, or None if the response is final.

        Args:
            answer: The response.
        """
        if not answer.has_token:
            # A proof is for one URL, so redirects are followed without token and proof.
            dropped = self.bound or self.private
            again = dropped and answer.status == _UNAUTHORIZED and self.has_same_origin(answer.url)
            return Retry.SAME_TOKEN if again and self._first("redirect") else None
        if self._lacked_nonce(answer):
            return Retry.SAME_TOKEN if self._first("nonce") else None
        if self.rejected(answer.status, answer.challenges):
            return Retry.OTHER_TOKEN
        secrets = (self.token.access_token, self._proof)
        return step_up_of(answer.status, answer.challenges, self._schemes, secrets)

    def rejected(self, status: int, challenges: str) -> bool:
        """Record a response, and return whether to retry with another token.

        Returns True at most once.

        Args:
            status: Status code of the response.
            challenges: Value of ``WWW-Authenticate``, or an empty string without the header.
        """
        mark = (self.token.access_token, self.origin)
        if status < _REDIRECTS:
            with _futile_guard:
                if mark not in _ACCEPTED:
                    _ACCEPTED[mark] = True
        if status != _UNAUTHORIZED or not self._may_accept_another_token(challenges):
            return False
        with _futile_guard:
            accepted = _MOST if mark in _ACCEPTED else None
            if "token" in self._done:
                left = self._left or accepted or 1
                _FUTILE[mark] = max(left - 1, _FUTILE.get(mark, 0))
            else:
                self._left = _FUTILE.get(mark, accepted)
                if self._left != 0:
                    self._done.add("token")
                    return True
        self.exhausted = True
        return False

    def __repr__(self) -> str:
        return f"Presentation({self._bearer!r}, {self.origin})"

    @property
    def _schemes(self) -> frozenset[str]:
        return self._bearer.schemes | {_DPOP} if self.bound else self._bearer.schemes

    def _may_accept_another_token(self, challenges: str) -> bool:
        errors = {
            each.parameters.get("error", _INVALID_TOKEN)
            for each in parse_challenges(challenges)
            if each.scheme in self._schemes
        }
        return errors <= {_INVALID_TOKEN}

    def _lacked_nonce(self, answer: Answer) -> bool:
        if self._dpop is None or not self.bound:
            return False
        seen = {"www-authenticate": answer.challenges, "dpop-nonce": answer.nonce}
        return self._dpop.record_nonce(answer.url, answer.status, seen)

    def has_same_origin(self, url: str) -> bool:
        """Return whether a URL has the origin that receives the token."""
        try:
            return origin_of(url, "url") == self.origin
        except ConfigurationError:
            return False

    def _first(self, reason: str) -> bool:
        first = reason not in self._done
        self._done.add(reason)
        return first
