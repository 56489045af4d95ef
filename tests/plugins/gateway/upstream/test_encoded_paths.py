"""Paths that servers read differently are forwarded unchanged and never reach another route."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from grantway_plugins.gateway.upstream import (
    RequestContext,
    RequestRejectedError,
    UpstreamAuth,
    from_path,
    single,
)
from tests.plugins.gateway.upstream.test_rules import route


def rules(**options: Any) -> UpstreamAuth:
    """Return rules with a route that forwards encoded paths, among routes to protect."""
    forward: dict[str, Any] = {"encoded_paths": "forward", **options}
    return UpstreamAuth(
        [
            route("git", path="/git", **forward),
            route("admin", path="/admin"),
            route("inner", path="/git/admin"),
            route("tenants", **{"path": "/t", "tenant": from_path(2), **forward}),
        ]
    )


def forwarded(rules: UpstreamAuth, path: str) -> tuple[str, str]:
    """Return the name of the route and the forwarded path."""
    upstream_token = rules.open(RequestContext.of("", path))
    assert upstream_token is not None
    return upstream_token.route.name, upstream_token.path


@pytest.mark.parametrize(
    "path",
    [
        "/git/projects/group%2Fname",
        "/git/projects/group%2fname/files/a%2Fb%2Fc.txt",
        "/git/@scope%2fpackage",
        "/git/api/exchanges/%2F/amq.topic",
        "/git/api/queues/%2f",
        "/git//objects///x",
        "/git/a/%2e%2e/b",
        "/git/a/./b",
        "/git/a/..%2fb",
        "/git/1%2e0",
        "/git/%7euser;v=1",
        "/git/a%20b%25c",
        "/git/",
        "/git",
        "/t/acme/a%2fb",
        "/t/acme//b",
    ],
)
def test_forwards_an_encoded_path_unchanged_if_the_route_allows_it(path: str) -> None:
    assert forwarded(rules(), path)[1] == path


@pytest.mark.parametrize("path", ["/git/a%2Fb", "/git//x", "/git/a/%2e%2e/b", "/git/a/./b"])
def test_rejects_an_encoded_path_by_default(path: str) -> None:
    with pytest.raises(RequestRejectedError):
        UpstreamAuth([route("git", path="/git")]).open(RequestContext.of("", path))
    with pytest.raises(RequestRejectedError):
        rules(encoded_paths="reject").open(RequestContext.of("", path))


@pytest.mark.parametrize(
    "path",
    [
        # Leaves the route in some reading
        "/git/..%2fadmin",
        "/git/../admin",
        "/git/%2e%2e/admin",
        "/git/%2e%2e%2fadmin",
        "/git/.%2e/admin/",
        "/git/..;/admin",
        "/git/..;a=b/admin",
        "/git/..%3b/admin",
        "/git/a/../../admin",
        "/git/a%2f../../x",
        "/git/a%2f..%2f..%2fx",
        "/git//..%2fx",
        "/git//../x",
        "/git/;/../x",
        "/git/%2e%2e",
        "/git/a/..%2f..%2fgit/b",
        "/git%2f..%2fadmin",
        "/git%2fx",
        "/%67it/x%2fy",
        "//git/x",
        "//evil.test/git/x",
        "/%2fgit/x",
        "/x/..%2fgit/x",
        # To a route below
        "/git//admin",
        "/git/%2fadmin",
        "/git/x/..%2fadmin",
        "/git/./admin",
        "/git/admin%2fx",
        "/git/x/../admin",
        "/git/;x/admin",
        "/git/admin;x",
        "/git/admin/..%2fx",
        "/git/admin%3bx",
        "/git/admin%253bx/y",
        "/git/admin%3fx",
        "/git/admin%3f/x",
        "/git/admin%23x",
        "/git/admin%2523x",
        # Always rejected
        "/git/a\\b",
        "/git/a%5cb",
        "/git/..%5c..%5cadmin",
        "/git/a%00",
        "/git/a%0d%0aX:%20y",
        "/git/a%7f",
        "/git/a%252fb",
        "/git/%252e%252e/admin",
        "/git/%252e%252e%252fadmin",
        "/git/a%25%32%66b",
        "/git/a%25252fb",
        "/git/a%25%2532fb",
        "/git/a%2525252525252fb",
        "/git/a%255cb",
        "/git/a%c0%afb",
        "/git/%c0%ae%c0%ae/admin",
        "/git/a%e0%80%afb",
        "/git/..%f8%80%80%80%afadmin",
        "/git/%fc%80%80%80%80%ae%fc%80%80%80%80%ae/admin",
        "/git/a/..%3fx",
        "/git/a/..%23x",
        "/git/%",
        "/git/%u002f",
        "/git/a b",
        "/git/é",
        # To another tenant
        "/t//acme",
        "/t/acme/..%2fumbrella",
        "/t/acme/../umbrella",
        "/t/a%2fb",
        "/t/acme;x/b%2fc",
        "/t/acme%3bx/b%2fc",
        "/t/%61cme/b%2fc",
        "/t/./acme/b",
    ],
)
def test_rejects_a_path_that_may_mean_another_route_or_tenant(path: str) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        rules().open(RequestContext.of("", path))
    assert caught.value.status == 400


def test_a_path_cannot_leave_a_route_at_the_root() -> None:
    root = UpstreamAuth(
        [route("all", path="/", encoded_paths="forward"), route("admin", path="/admin")]
    )
    assert forwarded(root, "/a%2fb//c") == ("all", "/a%2fb//c")
    for path in (
        "/..%2fx",
        "/%2e%2e/x",
        "/a/..%2f..%2fx",
        "/x/..%2fadmin",
        "/%2e/admin",
        "//admin",
    ):
        with pytest.raises(RequestRejectedError):
            root.route_for("", path)


def test_path_parameters_cannot_hide_another_route() -> None:
    """Servers like Tomcat remove ``;x`` before routing, some of them after decoding it."""
    plain = rules(encoded_paths="reject")
    assert forwarded(plain, "/git/a;v=1/b") == ("git", "/git/a;v=1/b")
    assert forwarded(plain, "/git/a%3Bv=1/b%3F%23") == ("git", "/git/a%3Bv=1/b%3F%23")
    for path in (
        "/git/admin;x",
        "/git/admin;x/y",
        "/git/;x/admin",
        "/git/admin%3Bx",
        "/git/admin%3bx/y",
        "/git/admin%253b",
        "/git/admin%3fx",
        "/git/admin%23/x",
    ):
        with pytest.raises(RequestRejectedError):
            plain.open(RequestContext.of("", path))


PIECES = ["/", "//", "git", "admin", "a", ".", "..", "%2e", "%2F", "%2f", ";", ";a", "%5c", "%25",
          "%252f", "2f", "t", "acme", "%00", "\\", "%3b", "%3f", "%23", "%253b",
          "%f8%80%80%80%af", "%fc%80%80%80%80%ae"]  # fmt: skip


def servers(path: str) -> list[str]:
    """Return the readings of a path by several kinds of servers, independently of our code."""
    found = []
    for decode in (0, 1, 2, 3):
        text = path
        for _ in range(decode):
            text = re.split("[?#]", unquote(text, "latin-1"))[0]
        text = text.replace("\xf8\x80\x80\x80\xaf", "/").replace("\xfc\x80\x80\x80\x80\xae", ".")
        for drop in (False, True):
            for backslash in (False, True):
                for merge in (False, True):
                    segments: list[str] = []
                    observer = text.replace("\\", "/") if backslash else text
                    for each in observer.split("/")[1:]:
                        segment = each.partition(";")[0] if drop else each
                        if segment == "..":
                            if not segments:
                                segments.append("OUTSIDE")
                            else:
                                segments.pop()
                        elif segment != "." and not (merge and not segment):
                            segments.append(segment)
                    found.append("/" + "/".join(segments))
    return found


@given(st.lists(st.sampled_from(PIECES), max_size=9).map(lambda pieces: "/" + "".join(pieces)))
def test_every_kind_of_server_reads_a_path_of_the_same_route(path: str) -> None:
    upstream = rules(tenant=single())
    for start in ("", "/git"):
        requested = f"{start}{path}"
        try:
            upstream_token = upstream.open(RequestContext.of("", requested))
        except RequestRejectedError:
            continue
        if upstream_token is None or upstream_token.route.name != "git":
            continue
        assert upstream_token.path == requested
        for reading in servers(requested):
            assert reading == "/git" or reading.startswith("/git/"), (requested, reading)
            assert reading != "/git/admin", requested
            assert not reading.startswith("/git/admin/"), requested
            assert not (f"{reading}/").startswith("/git/admin/"), (requested, reading)
