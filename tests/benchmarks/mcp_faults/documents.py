"""Scenarios in which metadata is wrong or hostile."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace

from tests.benchmarks.mcp_faults import acts
from tests.benchmarks.mcp_faults.bench import BAD, FAIR, GOOD, Bench, Client, Outcome
from tests.benchmarks.mcp_faults.record import Forward, Reply
from tests.certificates import Pki, issue
from tests.faults import Received
from tests.proxy import proxy

_KIB, _MIB = 1024, 1024 * 1024


def other_resource(bench: Bench) -> Outcome:
    """The resource's metadata names another resource."""
    bench.open_world().document = {"resource": "https://other.example.com/mcp"}
    bench.call(bench.start())
    return bench.rejected()


def trailing_slash(bench: Bench) -> Outcome:
    """The issuer in its metadata differs by a trailing slash (RFC 8414 section 3.3)."""
    world = bench.open_world()
    world.document = {"authorization_servers": [f"{world.issuer.url}/tenant"]}

    def answer(received: Received, _forward: Forward) -> Reply:
        own = replace(received, target="/.well-known/oauth-authorization-server")
        return world.issuer.answer(own).changed(issuer=f"{world.issuer.url}/tenant/")

    world.issuer.front.always["metadata"] = answer
    bench.call(bench.start())
    return bench.rejected()


def large(bench: Bench) -> Outcome:
    """The resource's metadata has 64 KiB and a byte."""
    return _large(bench, 64 * _KIB + 1)


def huge(bench: Bench) -> Outcome:
    """The resource's metadata has 50 MiB."""
    return _large(bench, 50 * _MIB)


def _large(bench: Bench, size: int) -> Outcome:
    world = bench.open_world()
    padded = acts.Padded(size)
    world.resource.always["resource_metadata"] = padded
    bench.call(bench.start())
    padded.done.wait(5)
    found = bench.rejected(f"{padded.sent / _KIB:,.0f} KiB sent" if size > _MIB else "")
    return found if found.mark == GOOD or size > _MIB else replace(found, mark=FAIR)


def redirected(bench: Bench) -> Outcome:
    """The resource's metadata is redirected to another host."""
    world = bench.open_world()
    elsewhere = bench.open_server("another host", lambda _received: Reply.of_json(world.metadata()))
    target = f"http://localhost:{elsewhere.port}/metadata"
    world.resource.always["resource_metadata"] = acts.redirect(target)
    bench.call(bench.start())
    followed = bool(world.record.entries(server=elsewhere.name))
    return bench.rejected("redirect followed" if followed else "redirect not followed")


def moved(bench: Bench) -> Outcome:
    """The resource's metadata is redirected to another path of its host."""
    world = bench.open_world()
    target = f"{world.resource.url}/.well-known/oauth-protected-resource/moved"
    world.resource.next["resource_metadata"] = [
        acts.redirect(target),
        lambda _received, _forward: Reply.of_json(world.metadata()),
    ]
    bench.call(bench.start())
    return _works(bench)


def without_metadata(bench: Bench) -> Outcome:
    """The resource has no metadata, as in the protocol 2025-03-26; it is its own issuer."""
    world = bench.open_world(same_host=True)
    world.challenge = 'Bearer error="invalid_token"'
    world.resource.always["resource_metadata"] = acts.status(404)
    bench.call(bench.start())
    return _works(bench)


def internal_metadata(bench: Bench) -> Outcome:
    """A public resource's challenge names metadata on a private network."""
    return _internal(bench, challenge="/latest/meta-data")


def internal_issuer(bench: Bench) -> Outcome:
    """A public resource's metadata names an issuer on a private network."""
    return _internal(bench)


def _internal(bench: Bench, challenge: str = "") -> Outcome:
    """Let a public resource name a server on loopback.

    The resource's name exists only for a proxy, so clients cannot look it up.
    """
    host = "mcp.example.com"
    pki = Pki(bench.folder)
    own = issue(bench.folder, host, pki.authority, host=host)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own.certificate, own.key)
    world = bench.open_world(public=(f"https://{host}", tls))
    internal = bench.open_server("the private server", lambda _received: Reply(404))
    if challenge:
        world.challenge = f'Bearer resource_metadata="{internal.url}{challenge}"'
    else:
        world.document = {"authorization_servers": [internal.url]}
    forward = bench.enter(proxy())
    forward.routes[f"{host}:443"] = ("127.0.0.1", world.resource.port)
    trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), pki.authority.certificate)
    bench.call(bench.start(HTTPS_PROXY=forward.url, NO_PROXY="127.0.0.1", **trusted))
    sent = len(world.record.entries(server=internal.name))
    text = f"{sent} request{'s' * (sent != 1)} to it"
    errors = f" ({', '.join(bench.errors())})" if bench.failures else ""
    return Outcome(BAD if sent else GOOD, text + errors, errors=bench.failures)


def _works(bench: Bench) -> Outcome:
    """Return the outcome of a first request that should succeed."""
    if bench.failures:
        failed = f"rejected ({', '.join(bench.errors())})"
        return Outcome(BAD, failed, failed=1, errors=bench.failures)
    return bench.kept("works")


def no_pkce(bench: Bench) -> Outcome:
    """The issuer's metadata does not list PKCE."""
    world = bench.open_world()
    world.issuer.front.always["metadata"] = acts.change(code_challenge_methods_supported=None)
    bench.call(bench.start())
    return bench.rejected()


def other_iss(bench: Bench) -> Outcome:
    """The redirect after the login has the `iss` of another issuer."""
    return _redirect(bench, iss="https://other.example.com")


def no_iss(bench: Bench) -> Outcome:
    """The redirect after the login has no `iss`, although the metadata announces it."""
    return _redirect(bench, iss=None)


def _redirect(bench: Bench, **changes: str | None) -> Outcome:
    world = bench.open_world()
    world.issuer.front.always["authorize"] = acts.change_redirect(**changes)
    bench.call(bench.start())
    codes = len(world.record.entries("token"))
    good = bool(bench.failures) and not codes
    text = f"rejected ({', '.join(bench.errors())})" if bench.failures else "accepted"
    if codes:
        text += "; code sent"
    mark = GOOD if good else BAD
    return Outcome(mark, text, failed=len(bench.failures), errors=bench.failures)


def new_issuer(bench: Bench) -> Outcome:
    """The resource names another issuer, and rejects tokens of the first one."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    _move(bench)
    world.reject_last_token()
    bench.call(client)
    return bench.kept(logins=1)


def new_issuer_after_restart(bench: Bench) -> Outcome:
    """The same for a new process with an expired token."""
    bench.open_world()
    client = bench.start()
    bench.log_in(client)
    client.stop()
    bench.pass_time()
    _move(bench)
    bench.call(bench.start())
    return bench.kept(logins=1)


def hanging(bench: Bench) -> Outcome:
    """The issuer's metadata endpoint does not answer."""
    bench.open_world().issuer.front.always["metadata"] = acts.hang
    return _ends(bench, bench.start())


def hanging_refresh(bench: Bench) -> Outcome:
    """The issuer does not answer a refresh."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.front.always["refresh"] = acts.hang
    return _ends(bench, client)


def _ends(bench: Bench, client: Client) -> Outcome:
    """Return after how many seconds a request fails."""
    began = time.monotonic()
    (error,) = bench.call(client)
    ended = client.alive
    text = f"fails after {time.monotonic() - began:.0f} s" if ended else error
    return Outcome(GOOD if ended else BAD, text, failed=1, errors=[error])


def _move(bench: Bench) -> None:
    """Start another issuer, and let the resource name it instead."""
    other = bench.world.add_issuer()
    bench.world.document = {"authorization_servers": [other.url]}
