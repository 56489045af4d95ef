"""The parts of a dialect: the shapes of requests, responses and errors.

Shapes are validated when they are created, so that mistakes are found at start-up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value

Path = tuple[str, ...]

#: Headers that the encoding, client authentication or transport sets.
_OWN_HEADERS = frozenset({"authorization", "content-length", "content-type", "host"})
#: Fields that grants and clients set; other fields must not be renamed to these.
_REQUEST_FIELDS = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "grant_type",
        "redirect_uri",
        "refresh_token",
        "scope",
    }
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Characters that occur in scope names (RFC 6749 appendix A.4 allows more).
_IN_SCOPE_NAMES = re.compile(r"[A-Za-z0-9:/._\-]")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RequestShape(Value):
    """The format of requests.

    Attributes:
        encoding: ``form`` (RFC 6749 appendix B) or ``json``.
        names: RFC name -> name on the wire, for those that differ.
        constants: Fields, by their names on the wire, that are sent with every request.
        scope_separator: One character between scope names; None sends a list (JSON) or repeats
            the field (form).
        client_auth: The default client authentication method.
        basic: Whether Basic credentials are form-encoded first (RFC 6749 section 2.3.1) or raw.
        headers: Additional headers of every request.
        authorization_names: RFC name -> name in the query of an authorization request.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    encoding: Literal["form", "json"] = "form"
    names: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    scope_separator: str | None = " "
    client_auth: str = "client_secret_basic"
    basic: Literal["encoded", "raw"] = "encoded"
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization_names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at = "RequestShape"
        one_of(f"{at}.encoding", self.encoding, ("form", "json"))
        one_of(f"{at}.basic", self.basic, ("encoded", "raw"))
        one_to_one(f"{at}.names", self.names, _REQUEST_FIELDS)
        one_to_one(f"{at}.authorization_names", self.authorization_names, _REQUEST_FIELDS)
        words(f"{at}.constants", self.constants)
        if taken := sorted(set(self.constants) & {*_REQUEST_FIELDS, *self.names.values()}):
            reject(
                f"{at}.constants", f"must not contain {taken[0]!r}, which is a field of the request"
            )
        if self.scope_separator is not None:
            separators(f"{at}.scope_separator", self.scope_separator)
            if len(self.scope_separator) != 1:
                reject(f"{at}.scope_separator", "must be one character, or None")
        text(f"{at}.client_auth", self.client_auth)
        _check_headers(f"{at}.headers", self.headers)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResponseShape(Value):
    """The format of successful responses.

    Attributes:
        names: Name on the wire -> RFC name, for those that differ. A field that has its RFC name
            already is never overwritten.
        token_at: Paths to the object that holds the token, tried in order; ``()`` is the response
            itself. A number in a path indexes a list. Other members beside a nested object go to
            ``Token.extra``.
        scope_separators: Characters between scope names, besides the request's.
        zero_never_expires: Whether ``expires_in: 0`` means that the token does not expire.
        token_types: The provider's token_type -> how to present the token, such as ``Bearer``.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    token_at: tuple[Path, ...] = ((),)
    scope_separators: str = " "
    zero_never_expires: bool = False
    token_types: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at = "ResponseShape"
        one_to_one(f"{at}.names", self.names)
        paths(f"{at}.token_at", self.token_at, itself=True)
        if not self.token_at:
            reject(f"{at}.token_at", "must contain a path; () is the response itself")
        flag(f"{at}.zero_never_expires", self.zero_never_expires)
        separators(f"{at}.scope_separators", self.scope_separators)
        words(f"{at}.token_types", self.token_types)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ErrorShape(Value):
    """The format of error responses.

    Attributes:
        header: Header that names the error, lower case, or None. ``Name``, ``Name:http://...``
            and ``namespace#Name`` are all read as ``Name``, in the header and in the body.
        code_at: Paths to the code in the body, tried in order; the code is a string or a whole
            number. A number in a path indexes a list.
        description_at: Paths to the text, tried in order.
        reason_at: Paths to an additional reason code, tried in order.
        codes: The provider's code -> the RFC's.
        ok: Field and the value it has in a success, such as ``("ok", True)``. A response with
            another value in this field is an error.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    header: str | None = None
    code_at: tuple[Path, ...] = (("error",),)
    description_at: tuple[Path, ...] = (("error_description",), ("message",))
    reason_at: tuple[Path, ...] = (("reason",),)
    codes: Mapping[str, str] = field(default_factory=dict)
    ok: tuple[str, str | int | bool | None] | None = None

    def __post_init__(self) -> None:
        at = "ErrorShape"
        if self.header is not None:
            text(f"{at}.header", self.header)
            if self.header != self.header.lower() or not _HEADER_NAME.fullmatch(self.header):
                reject(f"{at}.header", "must be the name of a header in lower case")
        paths(f"{at}.code_at", self.code_at)
        paths(f"{at}.description_at", self.description_at)
        paths(f"{at}.reason_at", self.reason_at)
        if not self.code_at:
            reject(f"{at}.code_at", 'must contain a path, like (("error",),)')
        words(f"{at}.codes", self.codes)
        pair = 2
        if self.ok is not None and not (
            isinstance(self.ok, tuple)
            and len(self.ok) == pair
            and isinstance(self.ok[0], str)
            and self.ok[0]
            and isinstance(self.ok[1], (str, int, bool, type(None)))
        ):
            reject(f"{at}.ok", 'must be a field and its value in a success, like ("ok", True)')


def reject(where: str, rule: str) -> None:
    """Raise ``ConfigurationError`` for an invalid attribute.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(f"{where}: {rule}.", errors={where: [rule]})


def text(where: str, value: Any) -> None:
    """Reject anything but a non-empty string."""
    if not isinstance(value, str) or not value or value != value.strip():
        reject(where, f"must be a non-empty string, not {value!r:.80}")


def flag(where: str, value: Any) -> None:
    """Reject anything but a bool."""
    if not isinstance(value, bool):
        reject(where, f"must be True or False, not {value!r:.80}")


def one_of(where: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Reject a value that is not allowed."""
    if value not in allowed:
        reject(where, f"must be {' or '.join(map(repr, allowed))}, not {value!r:.80}")


def words(where: str, value: Any) -> None:
    """Reject anything but a mapping of non-empty strings."""
    if not isinstance(value, Mapping):
        reject(where, f"must be a mapping of strings, not {type(value).__name__}")
    for key, target in value.items():
        if not (isinstance(key, str) and isinstance(target, str) and key and target):
            reject(where, f"must map non-empty strings, not {key!r:.40} to {target!r:.40}")


def one_to_one(where: str, value: Any, kept: frozenset[str] = frozenset()) -> None:
    """Reject a mapping that gives two fields the same name.

    Args:
        where: The attribute.
        value: The mapping of names.
        kept: Fields that keep their names unless ``value`` renames them.
    """
    words(where, value)
    sources: dict[str, str] = {}
    for key, target in value.items():
        first = sources.setdefault(target, key)
        if first != key:
            reject(where, f"must not rename both {first!r} and {key!r} to {target!r}")
        if target in kept and target not in value:
            reject(where, f"must not rename {key!r} to {target!r}, which is another field")


def paths(where: str, value: Any, *, itself: bool = False) -> None:
    """Reject anything but a tuple of paths, each a tuple of strings."""
    example = 'must be a tuple of paths, each a tuple of strings, like (("error", "code"),)'
    if not isinstance(value, tuple) or not all(isinstance(path, tuple) for path in value):
        reject(where, example)
    for path in value:
        if not all(isinstance(step, str) and step for step in path) or not (path or itself):
            reject(where, example)


def separators(where: str, value: Any) -> None:
    """Reject characters that occur in scope names."""
    if not isinstance(value, str) or not value:
        reject(where, f"must be characters, such as a comma, not {value!r:.80}")
    for character in value:
        if _IN_SCOPE_NAMES.match(character) or not (character.isprintable() or character.isspace()):
            reject(where, f"must not contain {character!r}, which occurs in scope names")


def _check_headers(where: str, value: Any) -> None:
    words(where, value)
    lower: set[str] = set()
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name):
            reject(where, f"must not contain {name!r:.80}, which is not a header name")
        if name.lower() in _OWN_HEADERS:
            reject(where, f"must not contain {name}, which grantway sets")
        if not content.isascii() or not content.isprintable():
            reject(where, f"{name} must be printable ASCII on one line")
        if name.lower() in lower:
            reject(where, f"must not contain {name} twice")
        lower.add(name.lower())
