"""How a token is presented to a resource (RFC 6750), whatever library sends the request."""

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
#: Types whose use takes more than a header with the token in it, or that are no access token.
_NEEDS_MORE = frozenset({"dpop", "mac", "n_a", "pop"})
_UNAUTHORIZED = 401
#: The only error that another token cures (RFC 6750 section 3.1).
_INVALID_TOKEN = "invalid_token"
#: RFC 6749 appendix A.12, without the space, at which a proxy may cut.
_CARRIED = bytes(range(0x21, 0x7F))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Tokens that came in place of a refused one and were refused as well, with the origin that did
#: it. For a minute such a 401 is believed: a resource that refuses every token would else make
#: each request to it one to the provider too.
_FUTILE: MutableMapping[tuple[str, Origin], bool] = TTLCache(1024, 60.0, time.monotonic)
_futile_guard = threading.Lock()


class TokenSource(Protocol):
    """What gives tokens out: a ``grantway.Credential``."""

    def token(self, timeout: float | None = None) -> Token:
        """A valid token; see ``grantway.Credential.token``."""
        ...

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109
        """As ``token``, for event loops."""
        ...

    def invalidate(self, token: Token) -> None:
        """Say that a token did not work where it was used."""
        ...


class Bearer:
    """Which header carries a token, and where to. Shared by requests and threads.

    Args:
        header: The header's name.
        scheme: The word before the token; empty for none. By default ``Bearer``, and a token of
            another type is refused.
        origins: Where the token may go, like ``https://api.example.com``; a request to anywhere
            else is refused. By default to whom the request is made.

    Raises:
        ConfigurationError: the header or scheme cannot stand in a request, or an origin is not
            one.
        InsecureEndpointError: an origin is plain http on another machine.
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
            raise _invalid("header", f"a header's name, like Authorization, not {header!r}.")
        if scheme and not _NAME.fullmatch(scheme):
            raise _invalid("scheme", f"one word, like Bearer, or empty, not {scheme!r}.")
        if isinstance(origins, str):
            raise _invalid("origins", f"a list, like [{origins!r}].")
        self.header = header
        self._scheme = scheme
        self._prefix = "Bearer " if scheme is None else f"{scheme} " if scheme else ""
        self._origins = frozenset(_secure(origin, "origins") for origin in origins)

    @property
    def standard(self) -> bool:
        """Whether the header is the one that HTTP libraries drop when they are redirected."""
        return self.header.lower() == "authorization"

    def present(self, url: str) -> Presentation:
        """Begin a request.

        Args:
            url: Where it goes.

        Raises:
            InsecureEndpointError: plain http to another machine.
            ConfigurationError: the token is not meant for there.
        """
        origin = _secure(url, "url")
        if self._origins and origin not in self._origins:
            allowed = ", ".join(sorted(str(each) for each in self._origins))
            raise _invalid("url", f"the token is meant for {allowed}, and not for {origin}.")
        return Presentation(self, origin)

    def value(self, token: Token) -> str:
        """The header's value.

        Raises:
            ConfigurationError: the token is of a type that is not presented in this way, or holds
                what no header can carry.
        """
        kind = token.token_type.lower()
        if kind in _NEEDS_MORE:
            hint = "; use grantway_plugins.client_auth.DPoP.headers()" if kind == "dpop" else ""
            raise _invalid(
                "token_type",
                f"a {token.token_type!r} token is not presented by a header alone{hint}.",
            )
        if self._scheme is None and kind != _BEARER:
            raise _invalid(
                "token_type",
                f"{token.token_type!r} is not Bearer; if the resource takes it all the same, say "
                'how by scheme, like scheme="Bearer".',
            )
        text = token.access_token
        if not text or not text.isascii() or text.encode().translate(None, _CARRIED):
            raise _invalid(
                "access_token", "holds characters that no header can carry; ask the provider why."
            )
        return self._prefix + text

    def cured_by_another(self, challenges: str) -> bool:
        """Whether a 401 may be about the token, and not about what it allows.

        Args:
            challenges: ``WWW-Authenticate``, empty where there was none.
        """
        schemes = {_BEARER, (self._scheme or _BEARER).lower()}
        return errors_of(challenges, schemes) <= {_INVALID_TOKEN}

    def __repr__(self) -> str:
        return f"Bearer({self.header}: {self._prefix}***)"


class Presentation(OneProcess):
    """One request on its way, of which at most one second copy is sent.

    Sends nothing, so that every HTTP library can use it::

        sending = bearer.present(url)
        name, value = sending.header(source.token())
        # send, and:
        if sending.rejected(response.status_code, response.headers.get("WWW-Authenticate", "")):
            source.invalidate(sending.token)
            if can_be_sent_again:
                name, value = sending.header(source.token())
                # send once more, and tell what came:
                sending.rejected(...)

    Attributes:
        origin: Where the request goes, and the token with it; to nowhere else.
        token: The token that it carries.
        value: The header with it. A request in which it is not found carries no token.
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
        """Name and value of the header.

        Args:
            token: What it is to carry.

        Raises:
            ConfigurationError: as for ``Bearer.value``.
        """
        self.value = self._bearer.value(token)
        self.token = token
        return self._bearer.header, self.value

    def rejected(self, status: int, challenges: str) -> bool:
        """Take note of an answer. True once at most: then another token may help.

        Args:
            status: Of the answer.
            challenges: Its ``WWW-Authenticate``, empty where there was none.
        """
        if status != _UNAUTHORIZED or not self._bearer.cured_by_another(challenges):
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
