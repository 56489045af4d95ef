"""The types with which the issuer and a login exchange requests and outcomes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from grantway._processes.copies import Value
from grantway._secrets.params import Params
from grantway._transport.http import is_web_address
from grantway._types.quantity import finite
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError
from grantway_plugins.issuer._extensions.status import check_status
from grantway_plugins.issuer._extensions.view import View
from grantway_plugins.server._http.headers import Headers

#: The reason for which a user has to act although a login would be possible without it.
Prompt = Literal["", "login", "select_account"]
#: Maximum length of a subject (OpenID Connect Core section 2).
MAX_SUBJECT = 255
#: Maximum size of a user's claims as JSON, in bytes.
MAX_CLAIMS = 16_384


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A step of a login: its beginning, a submitted form, or the return from another site.

    The repr contains no value of a parameter or header.

    Attributes:
        attempt: Identifies the attempt, and cannot be guessed. The other site of a
            ``LoginRedirect`` must send it back to ``callback`` as the parameter ``state``.
        callback: URL to which the other site must send the browser back.
        params: Fields of the form, or parameters that the other site sent; empty at the beginning.
        headers: Headers of the request; names are case-insensitive.
        peer: Address that sent the request: the connection's, or the one that a trusted proxy
            forwards. Empty if unknown.
        now: Current time in seconds since the epoch.
        began: Time at which the attempt began.
        prompt: ``login`` if the user must authenticate again, ``select_account`` if the user must
            be able to choose an account, or empty. A login that cannot ask the user again should
            return a ``LoginFailure`` for ``login``.
        max_age: Maximum seconds since the last authentication that the client accepts, or None.
        login_hint: The user's name or address that the client expects, or None. Anyone can choose
            it.
        browser_secret: Key of ``secret``.
    """

    attempt: str = field(repr=False)
    callback: str
    params: Params
    headers: Headers
    peer: str
    now: float
    began: float
    prompt: Prompt = ""
    max_age: float | None = None
    login_hint: str | None = field(default=None, repr=False)
    browser_secret: str = field(default="", repr=False)

    def secret(self, purpose: str) -> str:
        """Return a secret of this attempt and browser, such as a nonce or a PKCE verifier.

        It is the same in all steps of the attempt, and is not stored: it is derived from the
        browser's cookie. It has 43 letters, digits, hyphens and underscores.

        Args:
            purpose: Tells several secrets of an attempt apart.
        """
        text = f"{self.attempt} {purpose}".encode()
        derived = hmac.new(self.browser_secret.encode(), text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(derived).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class Identity(Value):
    """The user who logged in.

    Attributes:
        subject: The ``sub`` of the user's tokens, of at most 255 characters. It must be the same at
            every login, and must never be given to another user.
        claims: Standard claims (OpenID Connect Core section 5.1), such as ``name`` and ``email``.
            They are stored and shown to clients that may see them.
        auth_time: Time of the user's authentication, in seconds since the epoch; None for now.

    Raises:
        ValueError: a field is invalid. The message does not contain its value.
    """

    subject: str
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    auth_time: float | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        subject: object = self.subject
        if (
            not isinstance(subject, str)
            or not 0 < len(subject) <= MAX_SUBJECT
            or not subject.isprintable()
            or not subject.strip()
        ):
            raise InvalidArgumentError(
                f"subject must be printable text of at most {MAX_SUBJECT} characters"
            )
        try:
            size = len(json.dumps(dict(self.claims), allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            size = 0
        if not 0 < size <= MAX_CLAIMS:
            raise InvalidArgumentError(
                f"claims must be a JSON object of at most {MAX_CLAIMS} bytes"
            )
        if self.auth_time is not None and finite(self.auth_time) is None:
            raise InvalidArgumentError("auth_time must be seconds since the epoch, or None")


@dataclass(frozen=True, slots=True)
class LoginRedirect:
    """Sends the browser to another site, where the user logs in.

    Attributes:
        url: An http or https URL.

    Raises:
        ValueError: the URL is invalid. The message does not contain it.
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        """Validate the URL."""
        url: object = self.url
        if not isinstance(url, str) or not url.isascii() or not is_web_address(url):
            raise InvalidArgumentError("url must be an absolute http or https URL in ASCII")


@dataclass(frozen=True, slots=True)
class LoginFailure:
    """A failed login. The page shows the message and lets the user try again.

    Attributes:
        message: What happened and what the user can do, in complete sentences.
        detail: The reason for the operator, for the log; without secrets.
        status: HTTP status of the page, from 400 to 599.
        other_account: Whether trying again should let the user choose another account.

    Raises:
        ValueError: a field is invalid.
    """

    message: str
    detail: str = ""
    status: int = 403
    other_account: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not isinstance(self.message, str) or not isinstance(self.detail, str):
            raise InvalidArgumentError("message and detail must be text")
        check_status(self.status)
        if self.status < 400:  # noqa: PLR2004 - documented
            raise InvalidArgumentError("status must be from 400 to 599")


LoginOutcome = View | LoginRedirect | Identity | LoginFailure
