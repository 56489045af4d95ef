"""Bearer token usage (RFC 6750), independent of the library that sends the request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, MutableMapping
from typing import Protocol

from cachetools import TTLCache

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._transport.http import require_secure
from grantway._types.token import Token

from ._challenge import errors_of
from ._origin import Origin, origin_of

_BEARER = "bearer"
#: Token types that need more than a header with the token, or that are not access tokens.
_NEEDS_MORE = frozenset({"dpop", "mac", "n_a", "pop"})
_UNAUTHORIZED = 401
#: The only error for which another token may help (RFC 6750 section 3.1).
_INVALID_TOKEN = "invalid_token"
#: Characters of a token (RFC 6749 appendix A.12), without the space: proxies may split there.
_TOKEN_CHARACTERS = bytes(range(0x21, 0x7F))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Replacement tokens that an origin rejected as well. For a minute, a 401 for them does not cause
#: another refresh. Otherwise each request to a resource that rejects every token would also send
#: a request to the provider.
_FUTILE: MutableMapping[tuple[str, Origin], bool] = TTLCache(1024, 60.0, time.monotonic)
_futile_guard = threading.Lock()


class TokenSource(Protocol):
    """An object that returns tokens, such as ``grantway.Credential``."""

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token; see ``grantway.Credential.token``."""
        ...

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109
        """Return a valid token without blocking the event loop."""
        ...

    def invalidate(self, token: Token) -> None:
        """Mark a token as rejected by a resource, so that it is not returned again."""
        ...


class Bearer:
    """Rules for sending a token: header, scheme and allowed origins. Thread-safe.

    Args:
        header: Name of the header.
        scheme: Authentication scheme before the token, or an empty string for none. By default
            ``Bearer``; then tokens of another type are rejected.
        origins: Origins that may receive the token, such as ``https://api.example.com``.
            Requests to other origins raise an error. By default all origins are allowed.

    Raises:
        ConfigurationError: The header, the scheme or an origin is invalid.
        InsecureEndpointError: An origin uses plain http on another machine.
    """

    __slots__ = ("_origins", "_prefix", "_scheme", "header")

    def __init__(
        self,
        *,
        header: str = "Authorization",
        scheme: str | None = None,
        origins: Collection[str] = (),
    ) -> None:
        if not _NAME.fullmatch(header):
            raise _invalid(
                "header", f"must be the name of a header, such as Authorization, not {header!r}."
            )
        if scheme and not _NAME.fullmatch(scheme):
            raise _invalid("scheme", f"must be one word, such as Bearer, or empty, not {scheme!r}.")
        if isinstance(origins, str):
            raise _invalid("origins", f"must be a list, such as [{origins!r}].")
        self.header = header
        self._scheme = scheme
        self._prefix = "Bearer " if scheme is None else f"{scheme} " if scheme else ""
        self._origins = frozenset(_secure(origin, "origins") for origin in origins)

    @property
    def standard(self) -> bool:
        """Whether the header is ``Authorization``, which HTTP libraries drop on redirects."""
        return self.header.lower() == "authorization"

    def present(self, url: str) -> Presentation:
        """Start the presentation of a token in one request.

        Args:
            url: URL of the request.

        Raises:
            InsecureEndpointError: The URL uses plain http on another machine.
            ConfigurationError: The origin of the URL is not among the allowed origins.
        """
        origin = _secure(url, "url")
        if self._origins and origin not in self._origins:
            allowed = ", ".join(sorted(str(each) for each in self._origins))
            raise _invalid("url", f"the token is for {allowed}, not for {origin}.")
        return Presentation(self, origin)

    def value(self, token: Token) -> str:
        """Return the value of the header for a token.

        Raises:
            ConfigurationError: The token has a type that this header cannot present, or contains
                characters that are not allowed in a header.
        """
        kind = token.token_type.lower()
        if kind in _NEEDS_MORE:
            hint = "; use grantway_plugins.client_auth.DPoP.headers()" if kind == "dpop" else ""
            raise _invalid(
                "token_type",
                f"a {token.token_type!r} token needs more than a header{hint}.",
            )
        if self._scheme is None and kind != _BEARER:
            raise _invalid(
                "token_type",
                f"{token.token_type!r} is not Bearer; if the resource accepts it, give the scheme "
                'to use, such as scheme="Bearer".',
            )
        text = token.access_token
        if not text or not text.isascii() or text.encode().translate(None, _TOKEN_CHARACTERS):
            raise _invalid(
                "access_token",
                "is empty or has characters that are not allowed in a header; report this to the "
                "provider.",
            )
        return self._prefix + text

    def may_accept_another_token(self, challenges: str) -> bool:
        """Return whether another token may succeed after a 401 with these challenges.

        Args:
            challenges: Value of ``WWW-Authenticate``, or an empty string without the header.
        """
        schemes = {_BEARER, (self._scheme or _BEARER).lower()}
        return errors_of(challenges, schemes) <= {_INVALID_TOKEN}

    def __repr__(self) -> str:
        return f"Bearer({self.header}: {self._prefix}***)"


class Presentation(OneProcess):
    """The use of a token in one request, with at most one retry after a 401.

    It sends nothing itself, so every HTTP library can use it::

        presentation = bearer.present(url)
        name, value = presentation.header(source.token())
        # Send the request with this header. Then:
        challenges = response.headers.get("WWW-Authenticate", "")
        if presentation.rejected(response.status_code, challenges):
            source.invalidate(presentation.token)
            if can_be_sent_again:
                name, value = presentation.header(source.token())
                # Send the request once more, and report its response as well:
                presentation.rejected(...)

    Attributes:
        origin: Origin of the request, the only one that receives the token.
        token: The token of the last call of ``header``.
        value: Value of the header with that token. A request without it has lost it in a redirect.
    """

    stays = "it belongs to one request"

    __slots__ = ("_again", "_bearer", "origin", "token", "value")

    def __init__(self, bearer: Bearer, origin: Origin) -> None:
        self._bearer = bearer
        self._again = False
        self.origin = origin
        self.token = Token("")
        self.value = ""

    def header(self, token: Token) -> tuple[str, str]:
        """Return the name and the value of the header.

        Args:
            token: The token to present.

        Raises:
            ConfigurationError: As for ``Bearer.value``.
        """
        self.value = self._bearer.value(token)
        self.token = token
        return self._bearer.header, self.value

    def rejected(self, status: int, challenges: str) -> bool:
        """Record a response, and return whether to retry with another token.

        Returns True at most once.

        Args:
            status: Status code of the response.
            challenges: Value of ``WWW-Authenticate``, or an empty string without the header.
        """
        if status != _UNAUTHORIZED or not self._bearer.may_accept_another_token(challenges):
            return False
        mark = (self.token.access_token, self.origin)
        with _futile_guard:
            if self._again:
                _FUTILE[mark] = True
            elif mark not in _FUTILE:
                self._again = True
                return True
        return False


def _secure(url: str, name: str) -> Origin:
    origin = origin_of(url, name)
    if origin.scheme != "https":
        require_secure(str(origin), name)
    return origin


def _invalid(name: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: {message}", errors={name: [message]})
