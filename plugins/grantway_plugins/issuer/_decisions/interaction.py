"""What an authorization request demands of the user (OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.consents import Consent
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial, DenialError

from .user import User

if TYPE_CHECKING:
    from .authorization_request import ConsentRequest
    from .issuer import Issuer

#: Values of ``prompt`` that an issuer supports if users log in.
PROMPTS = ("none", "login", "consent", "select_account")
#: Maximum number of digits of ``max_age``: some centuries.
_MOST_DIGITS = 10
#: Maximum length of ``login_hint``, in characters.
_MOST_HINT = 1_024

#: The next step of a valid request: the user logs in, is asked for consent, or need not be asked.
Step = Literal["log_in", "ask", "approve"]


@dataclass(frozen=True, slots=True)
class Demands:
    """What an authorization request demands of the user.

    Attributes:
        prompt: Values of ``prompt``.
        max_age: Maximum seconds since the user's authentication, or None.
        login_hint: Name or address of the expected user, or None.
    """

    prompt: frozenset[str] = frozenset()
    max_age: float | None = None
    login_hint: str | None = field(default=None, repr=False)

    @property
    def silent(self) -> bool:
        """Whether no page may be shown."""
        return "none" in self.prompt


def demands_of(values: Mapping[str, str], *, users_log_in: bool) -> Demands:
    """Return the demands of a request.

    An issuer with a single local user ignores ``login_hint``, unknown prompts and an invalid
    ``max_age``.

    Args:
        values: The parameters of the request.
        users_log_in: Whether users log in.

    Raises:
        DenialError: a parameter is invalid.
    """
    prompt = frozenset(values.get("prompt", "").split())
    if "none" in prompt and len(prompt) > 1:
        raise DenialError("invalid_request", "prompt must not combine none with another value")
    age, hint = values.get("max_age"), values.get("login_hint")
    seconds = None
    if age is not None and age.isascii() and age.isdigit() and len(age) <= _MOST_DIGITS:
        seconds = float(age)
    if not users_log_in:
        return Demands(prompt, seconds)
    if not prompt <= set(PROMPTS):
        raise DenialError("invalid_request", f"prompt must contain only {', '.join(PROMPTS)}")
    if age is not None and seconds is None:
        raise DenialError("invalid_request", "max_age must be a whole number of seconds")
    if hint is not None and (len(hint) > _MOST_HINT or not hint.isprintable()):
        raise DenialError(
            "invalid_request", f"login_hint must be at most {_MOST_HINT} printable characters"
        )
    return Demands(prompt, seconds, hint)


def next_step(
    issuer: Issuer,
    request: ConsentRequest,
    user: User | None,
    transaction: Transaction,
    *,
    answered: bool,
) -> Step | Denial:
    """Return the next step of a valid request, or the error for one that allows no page.

    Args:
        issuer: The issuer.
        request: The request.
        user: The user in front of the browser; None if no user is logged in.
        transaction: The transaction in which to look up remembered consent.
        answered: Whether the user has just logged in because of this request.
    """
    demands = request.demands
    if user is None or not (answered or _may_stay(issuer, demands, user)):
        if demands.silent:
            return Denial("login_required", "The user must log in on a page")
        return "log_in"
    if issuer.settings.approve == "auto":
        return "approve"
    asks = "consent" in demands.prompt or not _remembers(issuer, request, user, transaction)
    if not asks:
        return "approve"
    if demands.silent:
        return Denial("consent_required", "The user must approve each login on a page")
    return "ask"


def remember(issuer: Issuer, request: ConsentRequest, user: User, transaction: Transaction) -> None:
    """Store the user's consent, if the settings allow it for this client."""
    if not _may_remember(issuer.settings, request):
        return
    now = issuer.clock()
    client_id = request.client.client_id
    known = transaction.consents.find(user.subject, client_id)
    if known is None or now >= known.expires_at:
        known = Consent(user.subject, client_id, frozenset(), frozenset(), now)
    transaction.consents.save(
        Consent(
            user.subject,
            client_id,
            known.scope | set(request.scope),
            known.resources | set(request.resources),
            now + issuer.settings.remember_consent,
        )
    )


def _may_stay(issuer: Issuer, demands: Demands, user: User) -> bool:
    """Return whether the user need not log in again."""
    if issuer.login is None:
        return True
    if demands.prompt & {"login", "select_account"}:
        return False
    age = issuer.clock() - (user.auth_time or 0.0)
    return demands.max_age is None or age <= demands.max_age


def _remembers(
    issuer: Issuer, request: ConsentRequest, user: User, transaction: Transaction
) -> bool:
    if not _may_remember(issuer.settings, request):
        return False
    known = transaction.consents.find(user.subject, request.client.client_id)
    return known is not None and known.covers(request.scope, request.resources, issuer.clock())


def _may_remember(settings: IssuerSettings, request: ConsentRequest) -> bool:
    """Return whether consent to this client may be remembered.

    Any program on the user's machine can pretend to be a public client with a loopback or
    private-use redirect URI (RFC 8252 section 8.6), and anyone can register an anonymous one.
    """
    client = request.client
    identified = client.confidential or request.redirect.uri.startswith("https://")
    return settings.remember_consent > 0 and identified and is_known(settings, client)


def is_known(settings: IssuerSettings, client: RegisteredClient) -> bool:
    """Return whether a client was registered by the operator, or with a registration token."""
    return not client.anonymous and settings.registration != "unrestricted"
