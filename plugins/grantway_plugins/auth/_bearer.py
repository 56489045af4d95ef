"""The rules for sending a token: header, scheme and allowed origins (RFC 6750, RFC 9449)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol

from grantway._exceptions import ConfigurationError
from grantway._transport.http import require_secure
from grantway._types.callables import kind_of
from grantway._types.token import Token

from ._origin import Origin, invalid, origin_of
from ._presentation import Presentation, Prover

_BEARER = "bearer"
_DPOP = "dpop"
#: Token types that need more than a header with the token, or that are not access tokens.
_NEEDS_MORE = frozenset({_DPOP, "mac", "n_a", "pop"})
#: Characters of a token (RFC 6749 appendix A.12), without the space: proxies may split there.
_TOKEN_CHARACTERS = bytes(range(0x21, 0x7F))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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


def check_source(credential: object) -> None:
    """Check that an object returns tokens. A token itself does not: it expires.

    Raises:
        ConfigurationError: It lacks a method of ``TokenSource``.
    """
    methods = ("token", "token_async", "invalidate")
    if isinstance(credential, type) or not all(
        callable(getattr(credential, name, None)) for name in methods
    ):
        raise invalid(
            "credential",
            "must be a credential, such as client.credential(...) or profile.credential(), or "
            f"another object with the methods {', '.join(methods)}; not {kind_of(credential)}.",
        )


class Bearer:
    """Rules for sending a token: header, scheme and allowed origins. Thread-safe.

    Args:
        header: Name of the header.
        scheme: Authentication scheme before the token, or an empty string for none. By default
            ``Bearer``; then tokens of another type are rejected.
        origins: Origins that may receive the token, such as ``https://api.example.com``.
            Requests to other origins raise an error. By default all origins are allowed.

    Attributes:
        header: Name of the header.
        origins: The origins that may receive the token; empty for all.

    Raises:
        ConfigurationError: The header, the scheme or an origin is invalid.
        InsecureEndpointError: An origin uses plain http on another machine.
    """

    __slots__ = ("_prefix", "_scheme", "header", "origins")

    def __init__(
        self,
        *,
        header: str = "Authorization",
        scheme: str | None = None,
        origins: Collection[str] = (),
    ) -> None:
        if not _NAME.fullmatch(header):
            raise invalid(
                "header", f"must be the name of a header, such as Authorization, not {header!r}."
            )
        if scheme and not _NAME.fullmatch(scheme):
            raise invalid("scheme", f"must be one word, such as Bearer, or empty, not {scheme!r}.")
        if isinstance(origins, str):
            raise invalid("origins", f"must be a list, such as [{origins!r}].")
        self.header = header
        self._scheme = scheme
        self._prefix = "Bearer " if scheme is None else f"{scheme} " if scheme else ""
        self.origins = frozenset(_secure(origin, "origins") for origin in origins)

    @property
    def standard(self) -> bool:
        """Whether the header is ``Authorization``, which HTTP libraries drop on redirects."""
        return self.header.lower() == "authorization"

    @property
    def schemes(self) -> frozenset[str]:
        """The schemes whose challenges are about the token, in lower case."""
        return frozenset({_BEARER, (self._scheme or _BEARER).lower()})

    def allows(self, url: str) -> bool:
        """Return whether the origin of a URL is one of ``origins``."""
        try:
            return origin_of(url, "url") in self.origins
        except ConfigurationError:
            return False

    def present(self, url: str, dpop: Prover | None = None) -> Presentation:
        """Start the presentation of a token in one request.

        Args:
            url: URL of the request.
            dpop: Makes the proofs for tokens of the type DPoP.

        Raises:
            InsecureEndpointError: The URL uses plain http on another machine.
            ConfigurationError: The origin of the URL is not among the allowed origins.
        """
        origin = _secure(url, "url")
        if self.origins and origin not in self.origins:
            allowed = ", ".join(sorted(str(each) for each in self.origins))
            raise invalid("url", f"the token is for {allowed}, not for {origin}.")
        return Presentation(self, origin, dpop)

    def value(self, token: Token, *, proof: bool = False) -> str:
        """Return the value of the header for a token.

        Args:
            token: The token.
            proof: Whether the request has a DPoP proof as well, so that a DPoP token can be sent.

        Raises:
            ConfigurationError: The token has a type that this header cannot present, or contains
                characters that are not allowed in a header.
        """
        kind = token.token_type.lower()
        if proof and kind == _DPOP:
            if self._scheme is not None or not self.standard:
                raise invalid(
                    "token_type",
                    "a DPoP token is sent in Authorization with the scheme DPoP (RFC 9449 section "
                    "7.1); leave out header and scheme.",
                )
            return f"DPoP {_text(token)}"
        if kind in _NEEDS_MORE:
            hint = (
                "; TokenAuth sends it with the key that it is bound to: dpop=DPoP(...), the auth "
                "of the client that requested it"
            )
            raise invalid(
                "token_type",
                f"a {token.token_type!r} token needs more than a header"
                f"{hint if kind == _DPOP else ''}.",
            )
        if self._scheme is None and kind != _BEARER:
            raise invalid(
                "token_type",
                f"{token.token_type!r} is not Bearer; if the resource accepts it, give the scheme "
                'to use, such as scheme="Bearer".',
            )
        return self._prefix + _text(token)

    def __repr__(self) -> str:
        return f"Bearer({self.header}: {self._prefix}***)"


def _text(token: Token) -> str:
    text = token.access_token
    if not text or not text.isascii() or text.encode().translate(None, _TOKEN_CHARACTERS):
        raise invalid(
            "access_token",
            "is empty or has characters that are not allowed in a header; report this to the "
            "provider.",
        )
    return text


def _secure(url: str, name: str) -> Origin:
    origin = origin_of(url, name)
    if origin.scheme != "https":
        require_secure(str(origin), name)
    return origin
