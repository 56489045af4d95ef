"""The authorization code flow (RFC 6749 section 4.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from hypothesis import given, strategies as st

from grantway import (
    AccessDeniedException,
    BrowserUnavailableError,
    Client,
    ConfigurationError,
    FlowCancelledError,
    FlowError,
    FlowTimeoutError,
    GrantwayError,
    Provider,
    RedirectMismatchError,
    RequestInvalidError,
    TokenError,
    UnknownTokenError,
)
from grantway_grants.authorization_code import (
    AuthorizationCodeFlow,
    AuthorizationRequest,
    code_challenge,
    login,
    login_by_paste,
)
from tests import faults
from tests.faults import FaultServer, free_port
from tests.waiting import PATIENCE

CODE = "code-very-secret-0123456789"
REDIRECT = "http://127.0.0.1:8400/callback"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(faults.respond()) as running:
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    with make_client(server) as made:
        yield made


def make_client(server: FaultServer, **provider: Any) -> Client:
    return Client(
        Provider(
            token_endpoint=server.token_endpoint,
            authorization_endpoint=f"{server.url}/authorize?tenant=1",
            **provider,
        ),
        client_id="c",
    )


def redirect(request: AuthorizationRequest, **fields: str) -> str:
    return f"{request.redirect_uri}?{urlencode({'state': request.state, **fields})}"


def test_the_vector_of_rfc_7636_appendix_b() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_authorization_request_has_every_required_parameter(client: Client) -> None:
    flow = AuthorizationCodeFlow(client, scope="read write", extra={"prompt": "consent"})
    request = flow.begin(REDIRECT)
    parts = urlsplit(request.url)
    query = {name: value for name, (value,) in parse_qs(parts.query, strict_parsing=True).items()}
    assert parts.path == "/authorize"
    assert query == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "c",
        "redirect_uri": REDIRECT,
        "scope": "read write",
        "state": request.state,
        "code_challenge": code_challenge(request.code_verifier),
        "code_challenge_method": "S256",
        "prompt": "consent",
    }
    assert len(request.code_verifier) >= 43
    again = flow.begin(REDIRECT)
    assert again.state != request.state
    assert again.code_verifier != request.code_verifier
    for secret in (request.state, request.code_verifier):
        assert secret not in repr(request)


def test_begin_accepts_a_derived_state_and_verifier(client: Client) -> None:
    request = AuthorizationCodeFlow(client).begin(REDIRECT, state="s" * 43, code_verifier="v" * 43)
    query = parse_qs(urlsplit(request.url).query)
    assert (request.state, request.code_verifier) == ("s" * 43, "v" * 43)
    assert query["state"] == ["s" * 43]
    assert query["code_challenge"] == [code_challenge("v" * 43)]


RESOURCES = ["https://a.example/", "https://b.example/"]


@pytest.mark.parametrize(
    "given", [{"resource": RESOURCES}, {"extra": {"resource": RESOURCES}}], ids=["own", "extra"]
)
@pytest.mark.parametrize("pasted", [False, True], ids=["browser", "paste"])
def test_sends_resource_and_extra_with_both_requests(
    client: Client, server: FaultServer, given: dict[str, Any], pasted: bool
) -> None:
    addresses: list[str] = []
    given = {**given, "extra": {**given.get("extra", {}), "tenant": 7, "prompt": "login"}}

    def ask(url: str) -> str:
        addresses.append(url)
        state = parse_qs(urlsplit(url).query)["state"][0]
        return f"{REDIRECT}?{urlencode({'state': state, 'code': CODE})}"

    def open_browser(url: str) -> None:
        addresses.append(url)
        visit(url, code=CODE)

    if pasted:
        login_by_paste(client, ask, redirect_uri=REDIRECT, **given)
    else:
        login(client, open_browser=open_browser, timeout=20, **given)
    query, form = parse_qs(urlsplit(addresses[0]).query), server.requests[0].form
    assert query["resource"] == form["resource"] == RESOURCES
    assert query["tenant"][-1] == form["tenant"][0] == "7"
    # The IANA registry lists ``prompt`` for authorization requests only.
    assert query["prompt"] == ["login"]
    assert "prompt" not in form


def test_a_pushed_request_contains_the_resource() -> None:
    with FaultServer(faults.respond(201, {"request_uri": "urn:x", "expires_in": 60})) as server:
        metadata = {"pushed_authorization_request_endpoint": f"{server.url}/par"}
        with make_client(server, metadata=metadata) as client:
            AuthorizationCodeFlow(client, resource=RESOURCES, scope="", par=True).begin(REDIRECT)
    assert server.requests[0].form["resource"] == RESOURCES
    assert "scope" not in server.requests[0].form


@pytest.mark.parametrize("par", [True, False])
def test_extra_accepts_functions_and_names_of_arguments(par: bool) -> None:
    numbers = itertools.count(1)
    extra: dict[str, Any] = {
        "signed": lambda: f"s-{next(numbers)}",
        "consented": True,
        "cancel": "c",
        "step": "s",
        "timeout": "9",
    }
    pushed = faults.respond(201, {"request_uri": "urn:x", "expires_in": 60})
    with FaultServer(*[pushed] * par, faults.respond()) as server:
        metadata = {"pushed_authorization_request_endpoint": f"{server.url}/par"}
        with make_client(server, metadata=metadata) as client:
            flow = AuthorizationCodeFlow(client, extra=extra, par=par)
            request = flow.begin(REDIRECT)
            flow.finish(request, redirect(request, code=CODE))
        token_request = server.requests[-1].form
        begun = server.requests[0].form if par else parse_qs(urlsplit(request.url).query)
    assert (begun["signed"], token_request["signed"]) == (["s-1"], ["s-2"])
    for sent in (begun, token_request):
        assert [sent[name] for name in ("consented", "cancel", "step", "timeout")] == [
            ["true"],
            ["c"],
            ["s"],
            ["9"],
        ]


@pytest.mark.parametrize("resource", ["", "api", "https://a.example/#x", [], [""], 7, ["urn:a", 7]])
def test_rejects_an_invalid_resource_before_the_login(client: Client, resource: Any) -> None:
    with pytest.raises(RequestInvalidError, match="resource"):
        AuthorizationCodeFlow(client, resource=resource)


@pytest.mark.parametrize("name", ["code", "code_verifier", "grant_type", "client_secret"])
def test_rejects_extra_parameters_of_the_token_request(client: Client, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        AuthorizationCodeFlow(client, extra={name: "x"})


def test_rejects_a_resource_in_extra(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="resource"):
        AuthorizationCodeFlow(client, resource="urn:a", extra={"resource": "urn:b"})


def test_rejects_an_invalid_extra_value_before_the_login(
    client: Client,
) -> None:
    with pytest.raises(RequestInvalidError, match=r"extra\.vendor"):
        AuthorizationCodeFlow(client, extra={"vendor": {"a": 1}})


@pytest.mark.parametrize("scope", ["", [], ()])
def test_omits_an_empty_scope(client: Client, scope: Any) -> None:
    request = AuthorizationCodeFlow(client, scope=scope).begin(REDIRECT)
    assert "scope" not in parse_qs(urlsplit(request.url).query, keep_blank_values=True)


def test_finish_requests_a_token_with_the_code(client: Client, server: FaultServer) -> None:
    flow = AuthorizationCodeFlow(client)
    request = flow.begin(REDIRECT)
    token = flow.finish(request, redirect(request, code=CODE))
    assert token.access_token == "at-1"
    assert server.requests[0].form == {
        "grant_type": ["authorization_code"],
        "code": [CODE],
        "redirect_uri": [REDIRECT],
        "code_verifier": [request.code_verifier],
        "client_id": ["c"],
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda request, good: good.replace(request.state, "other"),
        lambda request, good: good.replace(f"state={request.state}&", ""),
        lambda request, good: good.replace(request.state, ""),
        lambda request, good: good.replace(request.state, quote("é\ud800", errors="replace")),
        lambda request, good: good.replace(request.state, "é\udce9"),
        lambda request, good: f"{good}&code=another",
        lambda request, good: f"{good}&state={request.state}",
        lambda request, good: request.redirect_uri,
        lambda request, good: "",
        lambda request, good: "http://[broken",
        lambda request, good: "I closed the window",
    ],
)
def test_never_uses_a_code_from_another_login(
    client: Client, server: FaultServer, change: Any
) -> None:
    flow = AuthorizationCodeFlow(client)
    request = flow.begin(REDIRECT)
    with pytest.raises(RedirectMismatchError) as caught:
        flow.finish(request, change(request, redirect(request, code=CODE)))
    assert server.connections == 0
    assert CODE not in str(caught.value)
    assert request.state not in str(caught.value)
    assert CODE.encode() not in pickle.dumps(caught.value)


ISSUER = "https://login.example.com"
PROMISED = {"authorization_response_iss_parameter_supported": True}


@pytest.mark.parametrize(
    ("provider", "iss", "accepted"),
    [
        ({"issuer": ISSUER}, ISSUER, True),
        ({"issuer": ISSUER}, None, True),
        ({"issuer": ISSUER}, "https://evil.example", False),
        ({"issuer": ISSUER}, f"{ISSUER}/", False),
        ({"issuer": ISSUER}, "", False),
        ({"issuer": ISSUER, "metadata": PROMISED}, ISSUER, True),
        ({"issuer": ISSUER, "metadata": PROMISED}, None, False),
        ({}, "https://anything.example", True),
    ],
)
@pytest.mark.parametrize("what", [{"code": CODE}, {"error": "access_denied"}])
def test_checks_the_issuer_in_the_redirect(
    server: FaultServer, provider: Any, iss: str | None, accepted: bool, what: dict[str, str]
) -> None:
    with make_client(server, **provider) as client:
        flow = AuthorizationCodeFlow(client)
        request = flow.begin(REDIRECT)
        address = redirect(request, **what, **({} if iss is None else {"iss": iss}))
        if not accepted:
            with pytest.raises(RedirectMismatchError, match=ISSUER):
                flow.code(request, address)
        elif "error" in what:
            with pytest.raises(AccessDeniedException):
                flow.code(request, address)
        else:
            assert flow.code(request, address) == CODE


@pytest.mark.parametrize(
    ("error", "kind"),
    [("access_denied", AccessDeniedException), ("very_own_error", UnknownTokenError)],
)
def test_an_error_in_the_redirect_raises_its_class(
    client: Client, server: FaultServer, error: str, kind: type[TokenError]
) -> None:
    flow = AuthorizationCodeFlow(client)
    request = flow.begin(REDIRECT)
    address = redirect(
        request, error=error, error_description="No \x1b[31mway", error_uri="https://e"
    )
    with pytest.raises(kind) as caught:
        flow.finish(request, address)
    assert type(caught.value) is kind
    assert (caught.value.error, caught.value.error_uri) == (error, "https://e")
    assert caught.value.evidence.step == "authorization"
    assert str(caught.value).isprintable()
    assert server.connections == 0


def test_asks_for_the_complete_address_if_another_text_was_pasted(client: Client) -> None:
    flow = AuthorizationCodeFlow(client)
    with pytest.raises(RedirectMismatchError, match=r"is missing\. Use the complete address"):
        flow.finish(flow.begin(REDIRECT), "hello")


def test_a_redirect_without_code_and_error_raises_a_flow_error(client: Client) -> None:
    flow = AuthorizationCodeFlow(client)
    request = flow.begin(REDIRECT)
    with pytest.raises(FlowError, match="neither"):
        flow.finish(request, redirect(request))


@pytest.mark.parametrize("cut", [lambda a: a, lambda a: f"  {a}\n", lambda a: a.split("?")[1],
                                 lambda a: "?" + a.split("?")[1]])  # fmt: skip
def test_accepts_the_url_or_its_query(client: Client, cut: Any) -> None:
    asked: list[str] = []

    def ask(url: str) -> str:
        asked.append(url)
        state = parse_qs(urlsplit(url).query)["state"][0]
        return str(cut(f"{REDIRECT}?code={CODE}&state={state}"))

    token = login_by_paste(client, ask, redirect_uri=REDIRECT, scope=["a"])
    assert token.access_token == "at-1"
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["state", "code_challenge", "client_id", "scope", "redirect_uri"])
def test_rejects_extra_parameters_that_the_flow_sets(client: Client, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        AuthorizationCodeFlow(client, extra={name: "x"}).begin(REDIRECT)


def test_rejects_an_invalid_scope(client: Client) -> None:
    with pytest.raises(RequestInvalidError, match="scope"):
        AuthorizationCodeFlow(client, scope=['"'])


def test_a_provider_without_the_endpoint_is_a_configuration_error(server: FaultServer) -> None:
    with (
        Client(Provider(token_endpoint=server.token_endpoint), client_id="c") as client,
        pytest.raises(ConfigurationError, match="authorization_endpoint"),
    ):
        AuthorizationCodeFlow(client).begin(REDIRECT)


def visit(url: str, **fields: str) -> None:
    """Send the redirect before returning, like a browser with an existing session."""
    query = parse_qs(urlsplit(url).query)
    back = urlencode({"state": query["state"][0], **fields})
    with urlopen(f"{query['redirect_uri'][0]}?{back}", timeout=PATIENCE) as page:
        page.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_logs_in_with_a_browser_on_this_machine(
    client: Client, server: FaultServer, host: str
) -> None:
    token = login(
        client,
        redirect_uri=f"http://{host}/callback",
        open_browser=lambda url: visit(url, code=CODE),
        timeout=20,
    )
    assert token.access_token == "at-1"
    assert server.requests[0].form["redirect_uri"][0].startswith(f"http://{host}:")


def test_raises_if_the_user_denies_the_login_in_the_browser(
    client: Client, server: FaultServer
) -> None:
    with pytest.raises(AccessDeniedException):
        login(client, open_browser=lambda url: visit(url, error="access_denied"), timeout=20)
    assert server.connections == 0


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_login_without_a_redirect_times_out_or_is_cancelled(
    client: Client, cancelled: bool
) -> None:
    cancel = threading.Event()
    ports: list[int] = []

    def open_browser(url: str) -> None:
        redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        ports.append(urlsplit(redirect_uri).port or 0)
        if cancelled:
            cancel.set()

    kind: type[GrantwayError] = FlowCancelledError if cancelled else FlowTimeoutError
    with pytest.raises(kind):
        login(client, open_browser=open_browser, timeout=60 if cancelled else 0.1, cancel=cancel)
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{ports[0]}/callback", timeout=5)


def test_a_duplicate_parameter_name_is_made_printable(client: Client) -> None:
    flow = AuthorizationCodeFlow(client)
    with pytest.raises(RedirectMismatchError) as caught:
        flow.code(flow.begin(REDIRECT), "?%1b[2J=1&%1b[2J=2")
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def plain() -> Client:
    return Client(
        Provider("https://as.example/token", authorization_endpoint="https://as.example/a"),
        client_id="c",
    )


LOGIN = AuthorizationRequest("https://as.example/a", REDIRECT, "the-state", "v" * 43)


@given(
    st.text()
    | st.text().map(lambda text: f"{REDIRECT}?{text}")
    | st.dictionaries(
        st.sampled_from(["code", "error", "error_description", "iss"]), st.text()
    ).map(
        lambda found: f"{REDIRECT}?{urlencode({'state': 'the-state', **found}, errors='replace')}"
    )
)
def test_any_redirect_gives_a_code_or_a_grantway_error(plain: Client, redirect: str) -> None:
    try:
        code = AuthorizationCodeFlow(plain).code(LOGIN, redirect)
    except GrantwayError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ends are right
    else:
        assert code


# --- The browser ----------------------------------------------------------------------------------


def redirect_in_thread(redirect_uri: str, query: str) -> None:
    """Send the redirect from another thread."""
    with urlopen(f"{redirect_uri}?{query}", timeout=PATIENCE) as page:
        page.read()


def test_a_foreground_browser_does_not_delay_the_timeout(client: Client) -> None:
    closed = threading.Event()
    with pytest.raises(FlowTimeoutError):
        login(client, open_browser=lambda _url: closed.wait(PATIENCE), timeout=0.05)
    assert not closed.is_set()
    closed.set()


def test_a_foreground_browser_does_not_delay_the_login(client: Client) -> None:
    closed = threading.Event()

    def open_browser(url: str) -> None:
        visit(url, code=CODE)
        closed.wait(PATIENCE)

    token = login(client, open_browser=open_browser, timeout=PATIENCE)
    assert token.access_token == "at-1"
    assert not closed.is_set()
    closed.set()


def test_cancelling_does_not_wait_for_the_browser(client: Client) -> None:
    cancel, closed = threading.Event(), threading.Event()

    def open_browser(_url: str) -> None:
        cancel.set()
        closed.wait(PATIENCE)

    with pytest.raises(FlowCancelledError):
        login(client, open_browser=open_browser, timeout=PATIENCE, cancel=cancel)
    closed.set()


def test_shows_the_url_before_opening_a_browser(client: Client) -> None:
    steps: list[str] = []

    def open_browser(url: str) -> None:
        steps.append("opened")
        visit(url, code=CODE)

    login(client, prompt=steps.append, open_browser=open_browser, timeout=PATIENCE)
    assert steps[0].startswith(client.provider.authorization_endpoint or "")
    assert steps[1:] == ["opened"]


def test_raises_immediately_without_a_browser(client: Client) -> None:
    with pytest.raises(BrowserUnavailableError, match="prompt=print"):
        login(client, open_browser=lambda _url: False, timeout=PATIENCE)


def test_continues_without_a_browser_if_the_url_was_shown(client: Client) -> None:
    def prompt(url: str) -> None:
        threading.Thread(target=visit, args=(url,), kwargs={"code": CODE}).start()

    token = login(client, prompt=prompt, open_browser=lambda _url: False, timeout=PATIENCE)
    assert token.access_token == "at-1"


def test_an_exception_of_open_browser_ends_the_login(client: Client) -> None:
    def open_browser(_url: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        login(client, open_browser=open_browser, timeout=PATIENCE)


def test_reports_an_error_without_a_state(client: Client) -> None:
    flow = AuthorizationCodeFlow(client)
    with pytest.raises(AccessDeniedException, match="access_denied: no, thank you"):
        flow.code(flow.begin(REDIRECT), "?error=access_denied&error_description=no,+thank+you")
    with pytest.raises(RedirectMismatchError, match="differs"):
        flow.code(flow.begin(REDIRECT), "?error=access_denied&state=other")
    with pytest.raises(RedirectMismatchError, match="missing"):
        flow.code(flow.begin(REDIRECT), f"?code={CODE}")


def test_the_redirect_uri_and_the_listener_may_differ(client: Client, server: FaultServer) -> None:
    """For example if a proxy forwards an https URL to this program."""
    port = free_port()

    def open_browser(url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        assert query["redirect_uri"] == ["https://app.example.com/callback"]
        redirect_in_thread(
            f"http://127.0.0.1:{port}/callback",
            urlencode({"state": query["state"][0], "code": CODE}),
        )

    login(
        client,
        redirect_uri="https://app.example.com/callback",
        listen=f"127.0.0.1:{port}",
        open_browser=open_browser,
        timeout=PATIENCE,
    )
    assert server.requests[0].form["redirect_uri"] == ["https://app.example.com/callback"]


PROGRAM = """
import sys, threading, time
from grantway import Client, FlowTimeoutError, Provider
from grantway_grants.authorization_code import login

provider = Provider("http://127.0.0.1:9/token", authorization_endpoint="http://127.0.0.1:9/a")
try:
    login(Client(provider, client_id="c"), timeout=float(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the commands are those of a POSIX shell")
@pytest.mark.parametrize(
    ("browser", "error"),
    [
        ("sh -c 'read line' %s", "FlowTimeoutError"),
        ("sh -c 'read line' %s &", "FlowTimeoutError"),
        ("true", "FlowTimeoutError"),
        ("true &", "BrowserUnavailableError"),  # without %s, a command name
        ("false", "BrowserUnavailableError"),
        ("false %s &", "BrowserUnavailableError"),  # as xdg-open does without a browser
        ("false %s:no-such-command:false", "BrowserUnavailableError"),
        ("no-such-command %s &", "BrowserUnavailableError"),
    ],
)
def test_a_program_exits_while_its_browser_is_running(browser: str, error: str) -> None:
    """A command that reads from the pipe runs until the test closes the pipe."""
    environ = {**os.environ, "BROWSER": browser}
    timeout = PATIENCE if error == "BrowserUnavailableError" else 0.2
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(timeout)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == f"{error}\n"
        assert program.wait(PATIENCE) == 0
