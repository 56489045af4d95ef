"""Dialects: the request and response formats of providers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grantway._processes.copies import Value
from grantway._types.callables import is_async
from grantway._types.freshness import Freshness
from grantway._types.quantity import check_seconds

from .request_encoder import RequestEncoder
from .response_decoder import Amend, ResponseDecoder
from .shapes import ErrorShape, RequestShape, ResponseShape, reject, text


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dialect(Value):
    """The request and response formats of a provider or a family of providers.

    Attributes:
        name: The name for ``Provider(dialect=...)``.
        request: The format of requests.
        response: The format of successful responses.
        error: The format of error responses.
        replay_window: Seconds within which a refresh token may be sent again after its response was
            lost; 0 if the provider documents none.
        freshness: When a credential refreshes a token.
        amend: A function that converts the decoded object before it is read, for formats that the
            other attributes cannot describe.
        encoder: Encodes requests.
        decoder: Decodes responses.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    name: str
    request: RequestShape = field(default_factory=RequestShape)
    response: ResponseShape = field(default_factory=ResponseShape)
    error: ErrorShape = field(default_factory=ErrorShape)
    replay_window: float = 0.0
    freshness: Freshness = field(default_factory=Freshness)
    amend: Amend | None = None
    encoder: RequestEncoder = field(init=False, repr=False, compare=False)
    decoder: ResponseDecoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text("Dialect.name", self.name)
        if any(character.isspace() for character in self.name):
            reject("Dialect.name", f"must have no space, unlike {self.name!r:.80}")
        at = f"Dialect {self.name}"
        for part, kind in (
            ("request", RequestShape),
            ("response", ResponseShape),
            ("error", ErrorShape),
            ("freshness", Freshness),
        ):
            if not isinstance(getattr(self, part), kind):
                reject(f"{at}: {part}", f"must be an instance of {kind.__name__}")
        check_seconds(f"{at}: replay_window", self.replay_window, least=0)
        amend: Any = self.amend
        if amend is not None:
            if not callable(amend):
                reject(f"{at}: amend", "must be callable, or None")
            if is_async(amend):
                reject(f"{at}: amend", "must be a plain function, not async def")
        object.__setattr__(self, "encoder", RequestEncoder(self.request))
        decoder = ResponseDecoder(
            self.name, self.response, self.error, self.request.scope_separator, self.amend
        )
        object.__setattr__(self, "decoder", decoder)

    def __repr__(self) -> str:
        return f"Dialect({self.name!r})"


#: The standard: form requests, JSON responses, error codes in ``error`` (RFC 6749).
RFC6749 = Dialect(name="rfc6749")
