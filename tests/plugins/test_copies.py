"""Every public class can be copied and pickled, or its error says why not and what to do."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
import grantway_grants
import grantway_plugins
from grantway import (
    Client,
    ClientAssertion,
    ClientSecretBasic,
    ClientSecretPost,
    Dialect,
    ErrorShape,
    Event,
    Evidence,
    Freshness,
    Grant,
    GrantSchema,
    NoAuth,
    PluginStatus,
    Provider,
    RequestShape,
    ResponseShape,
    RetryPolicy,
    Scope,
    Text,
    Token,
)
from grantway._exceptions import Attempt, GrantwayError
from grantway._processes.copies import OneProcess, Value
from grantway._requests.exchange import Exchange
from grantway._requests.outgoing_request import OutgoingRequest
from grantway._secrets.params import Params
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._wire.provider_response import ProviderResponse, WireError
from grantway.testing import Fault, NonconformingGrantError, Received, Register
from grantway_grants.authorization_code import (
    AuthorizationCodeSchema,
    AuthorizationRequest,
    CodeVerifier,
)
from grantway_grants.device_code import DeviceAuthorization
from grantway_plugins.auth import Answer, Bearer, ResourceAuth, StepUpChallenge, TokenAuth
from grantway_plugins.aws import AwsIam, client as sso_oidc_client
from grantway_plugins.aws._cache.store import AwsCliStore
from grantway_plugins.aws._config.settings import Settings
from grantway_plugins.aws._config.sso_config import SsoConfig
from grantway_plugins.client_auth import (
    ClientSecretJwt,
    DPoP,
    MutualTls,
    PrivateKeyJwt,
    SigningKey,
)
from grantway_plugins.executable import Command
from grantway_plugins.gateway import BreakerRules, BulkheadRules, Notice, Principal
from grantway_plugins.gateway._protection import ProtectionState
from grantway_plugins.grants.ciba import BackchannelAuthentication
from grantway_plugins.issuer import (
    AccessTokenRecord,
    Additions,
    ClientCertificates,
    ClientDocuments,
    Denial,
    Endpoint,
    GrantRequest,
    Identity,
    Issue,
    IssuerRequest,
    IssuerSettings,
    KeySettings,
    Lifetimes,
    LoginDetails,
    LoginFailure,
    LoginRedirect,
    LoginRequest,
    OpenIDLogin,
    Page,
    PluginLogin,
    Redirect,
    RegisteredClient as Registration,
    Reply,
    Resource,
    SessionSettings,
    TokenFamily,
    Transaction,
    View,
)
from grantway_plugins.issuer._aws_portal.accounts import AwsAccount, RoleCredentials
from grantway_plugins.issuer._identity_assertion_policy import IdentityAssertionPolicy
from grantway_plugins.issuer._trust.trusted_issuer import TrustedIssuer
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, TrustedToken
from grantway_plugins.resource import (
    AcceptedIssuer,
    CertificateHeader,
    IssuerStatus,
    Requirement,
    SharedProofs,
    VerifiedToken,
)
from grantway_plugins.secrets import (
    AwsWebIdentityToken,
    AzureToken,
    EnvironmentSecret,
    FileSecret,
    GitHubActionsToken,
    GoogleCloudToken,
    KeyringSecret,
    KubernetesToken,
    SpiffeToken,
)
from grantway_plugins.server import Limits
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.headers import Headers
from grantway_plugins.server._log_format import JsonFormatter
from grantway_plugins.stores.file._store import FileStore

DOCS = Path(__file__).parents[2] / "docs"
SECRET = "secret-that-stays-here-0123456789"
#: Messages: the class, the reason and the advice. Listeners and connections need no advice.
SAYS_WHY = re.compile(
    r"An? [A-Z]\w+ (cannot be pickled: |holds ).*"
    r"(\b(build|create|install|make|read|send|use)\b|belongs to one|holds a connection)",
    re.IGNORECASE,
)
WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),
]


def documented() -> Iterator[tuple[str, str]]:
    """Return modules and the names that the documentation imports from them."""
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        yield from re.findall(r"^::: (grantway\S*)\.(\w+)", text, re.MULTILINE)
        for module, names in re.findall(
            r"^\s*from (grantway[\w.]*) import ([\w, ]+)", text, re.MULTILINE
        ):
            yield from ((module, name) for name in re.findall(r"\w+", names))


def exported() -> Iterator[tuple[str, str]]:
    """Return modules and the names in their ``__all__``."""
    for package in (grantway, grantway_grants, grantway_plugins):
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for name in [package.__name__, *(each.name for each in found)]:
            if "__main__" not in name and ".template" not in name:
                yield from ((name, each) for each in getattr(import_module(name), "__all__", ()))


def public_classes() -> list[type]:
    named = {*documented(), *exported()}
    kinds = {
        each
        for each in (getattr(import_module(module), name, None) for module, name in named)
        if inspect.isclass(each)
        and not getattr(each, "_is_protocol", False)
        and not issubclass(each, enum.Enum)
        and not each.__name__.endswith("Tests")  # test classes for plugin authors
    }
    return sorted(kinds, key=lambda kind: (kind.__module__, kind.__name__))


PUBLIC = public_classes()
PROVIDER = Provider("https://as.example/token", metadata=MappingProxyType({"x": [1]}))
CLIENT = Client(PROVIDER, client_id="c")
KEY = SigningKey(dict(ECKey.generate_key("P-256").as_dict(private=True)))
PUBLIC_KEYS = {"keys": [dict(ECKey.generate_key("P-256", {"kid": "1"}).as_dict(private=False))]}


class Coupon(GrantSchema):
    """Parameters of a grant."""

    voucher = Text(required=True, example="'V-1'")


def handle(request: IssuerRequest, transaction: Transaction) -> Any:
    """Handle a request to an endpoint or page."""


def samples() -> dict[type, Any]:
    """Return an instance of each class that can be copied."""
    credential = CLIENT.credential(grant_type="client_credentials")
    grant = Grant("urn:example:coupon", Coupon())
    dialect = Dialect("own")
    role = RoleCredentials("AKIA", SECRET, SECRET)
    state = ProtectionState("login", "closed", "", None, 0, 0, 0)
    settings = IssuerSettings(
        approve="auto", scope_descriptions=MappingProxyType({"openid": "who you are"})
    )
    registration = Registration(
        "c", "c", "rfc", "none", frozenset(), (), (), issued_at=0.0, expires_at=1.0
    )
    family = TokenFamily("f", "c", "me", ("read",), 1.0)
    deadline = Deadline(5)
    secret = ClientSecretPost("c", SECRET)
    made = [
        CLIENT,
        credential,
        PROVIDER,
        dialect,
        RequestShape(headers=MappingProxyType({"X-A": "b"})),
        ResponseShape(names=MappingProxyType({"accessToken": "access_token"})),
        ErrorShape(codes=MappingProxyType({"nope": "access_denied"})),
        EnvironmentSecret("SECRET"),
        AwsWebIdentityToken(),
        AzureToken("api://orders"),
        GitHubActionsToken("https://as.example"),
        GoogleCloudToken("https://as.example"),
        KubernetesToken(),
        SpiffeToken("svid"),
        FileSecret("secret.txt"),
        KeyringSecret("my-service", "c"),
        NoAuth("c"),
        ClientAssertion("c", SECRET),
        secret,
        ClientSecretBasic("c", SECRET),
        Command(("corp-token", "--audience", "api")),
        ProviderResponse(200, MappingProxyType({}), {"access_token": SECRET}),
        WireError("invalid_grant"),
        Event("start", 1, "token", "as.example", None),
        Attempt("refused", "400", 400, 1.0),
        Evidence(headers=MappingProxyType({"x": "y"})),
        Freshness(),
        RetryPolicy(),
        PluginStatus("p"),
        Token(SECRET, extra=MappingProxyType({"tenant": "7"})),
        grant,
        Coupon(),
        GrantSchema(),
        Scope(),
        Text(example="'x'"),
        AuthorizationCodeSchema(),
        CodeVerifier(example="'x'"),
        HttpRequest("GET", "https://as.example"),
        HttpResponse(200, MappingProxyType({}), b""),
        Exchange(
            "token",
            PROVIDER.token_endpoint,
            "as.example",
            grant,
            Params({"voucher": SECRET}),
            secret,
            dialect,
            deadline,
            emit=lambda _event: None,
        ),
        OutgoingRequest(
            PROVIDER.token_endpoint,
            {"client_secret": SECRET},
            {},
            "token",
            PROVIDER,
            learn=lambda _answer: False,
        ),
        Received("GET", "/", MappingProxyType({}), b""),
        Register(),
        Fault("rule", "what", "remedy"),
        NonconformingGrantError("g", (Fault("rule", "what", "remedy"),)),
        AuthorizationRequest("https://as.example", "http://127.0.0.1", "s", SECRET),
        DeviceAuthorization(SECRET, "AB-CD", "https://as.example", None, 60, 5, 0),
        Bearer(origins=["https://api.example"]),
        TokenAuth(credential),
        ResourceAuth(
            "https://api.example", issuer="https://idp.example", client_id="c", client_secret=SECRET
        ),
        Answer(401, SECRET, SECRET, "GET", "https://api.example"),
        StepUpChallenge("insufficient_scope", scope=("write",)),
        ClientSecretJwt("c", SECRET),
        PrivateKeyJwt("c", KEY),
        AwsIam("c", "eu-west-1", credentials=lambda: SECRET),
        DPoP(secret, KEY),
        MutualTls("c"),
        Principal("c"),
        BreakerRules(),
        BulkheadRules(),
        state,
        Notice("load", state),
        BackchannelAuthentication(SECRET, 60, 5, 0, MappingProxyType({"login_hint": "me"})),
        TrustedIssuer("https://idp.example", ("x",), jwks=PUBLIC_KEYS),
        TrustedToken("https://idp.example", "x", 0.0, MappingProxyType({"sub": "x"})),
        RejectedToken("has expired"),
        role,
        AwsAccount("1", "n", "e@example.com", MappingProxyType({"Admin": role})),
        Denial("invalid_grant", "no"),
        Additions(metadata=MappingProxyType({"nonce_endpoint": "https://as.example/nonce"})),
        Endpoint("/nonce", handle),
        Page("/gift", handle),
        Reply({"nonce": SECRET}),
        Redirect("/device"),
        View("Gift", "<p>{{ giver }}</p>", {"giver": "me"}),
        IssuerRequest("POST", Params(), Headers({b"x": SECRET}), "::1", 0.0, settings),
        OpenIDLogin("https://login.example.com", "issuer", allow={"email": ("**",)}),
        PluginLogin("passwords", {"path": "users.json"}),
        SessionSettings(),
        LoginRequest("a", "https://as.example", Params(), Headers(), "::1", 0.0, 0.0),
        Identity("ann", MappingProxyType({"name": "Ann"})),
        LoginRedirect("https://login.example.com"),
        LoginFailure("Try again."),
        Headers({b"authorization": SECRET}),
        registration,
        family,
        ClientCertificates(),
        ClientDocuments(),
        Resource("https://api.example"),
        IdentityAssertionPolicy("https://as.example", {"a": "b"}),
        LoginDetails(("https://api.example",), {"jkt": "key"}, 1.0, "session", "nonce"),
        AccessTokenRecord(("read",), 0.0, 1.0, family),
        settings,
        KeySettings(),
        Lifetimes(),
        GrantRequest(Params(), registration, 0.0, 0.0, settings),
        Limits(),
        AcceptedIssuer("https://login.example.com"),
        SharedProofs(),
        CertificateHeader("X-Client-Cert", (ip_network("10.0.0.0/8"),)),
        Requirement(scopes=("read",)),
        IssuerStatus(available=False, problem="down", since=1.0),
        VerifiedToken("https://login.example.com", "ann", claims={"acr": "1"}),
        JsonFormatter(),
        AuditEvent("login"),
        SsoConfig(
            "n", "https://x.example", "eu-west-1", (), "c", "o", Settings(MappingProxyType({}))
        ),
        sso_oidc_client(region_name="eu-west-1"),
    ]
    issued = GrantRequest(Params(), registration, 0.0, 0.0, settings).issue(
        subject="me", members=MappingProxyType({"a": "b"})
    )
    assert isinstance(issued, Issue)
    made.append(issued)
    return {type(each): each for each in made}


SAMPLES = samples()


def a(kind: type, folder: Path) -> Any:
    """Return an instance of the class.

    Raises:
        LookupError: The test has no way to create one.
    """
    if kind in SAMPLES:
        return SAMPLES[kind]
    if kind in (FileStore, AwsCliStore):
        return kind(folder)
    if issubclass(kind, OneProcess):
        return object.__new__(kind)
    if issubclass(kind, GrantwayError | Warning):
        return kind("what happened")
    raise LookupError(f"Derive {kind.__name__} from OneProcess, or add one to samples().")


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_copies_or_rejects_with_the_reason(kind: type, tmp_path: Path) -> None:
    value = a(kind, tmp_path)
    for way in WAYS:
        try:
            again = way(value)
        except TypeError as error:
            refusal = error
        else:
            assert type(again) is kind
            if isinstance(again, Value):
                assert again == value
            continue
        assert SAYS_WHY.match(str(refusal)), str(refusal)
        assert refusal.__context__ is None
        assert SECRET not in str(refusal)
