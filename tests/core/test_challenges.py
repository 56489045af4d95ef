"""Tests of reading ``WWW-Authenticate`` (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings, strategies as st

from grantway._wire.challenges import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="x"', [("bearer", {"realm": "x"})]),
        ("bearer ERROR=invalid_token", [("bearer", {"error": "invalid_token"})]),
        (
            'Bearer realm="a, error=\\"no\\"" , error = "invalid_token"',
            [("bearer", {"realm": 'a, error="no"', "error": "invalid_token"})],
        ),
        (
            'Basic realm="x", error="no", Bearer scope="a b", error="invalid_token"',
            [
                ("basic", {"realm": "x", "error": "no"}),
                ("bearer", {"scope": "a b", "error": "invalid_token"}),
            ],
        ),
        ("Bearer, DPoP algs=ES256", [("bearer", {}), ("dpop", {"algs": "ES256"})]),
        ('Bearer error="a", error="b"', [("bearer", {"error": "a"})]),
        # Invalid, but unambiguous.
        ('Bearer error="a" scope="b"', [("bearer", {"error": "a", "scope": "b"})]),
        ('Bearer error="a"; scope="b", x=y', [("bearer", {"error": "a", "x": "y"})]),
        (
            "Bearer error=invalid token, x=y",
            [("bearer", {"error": "invalid"}), ("token", {"x": "y"})],
        ),
        ('Bearer error="a', [("bearer", {"error": "a"})]),
        ('Bearer error="a\\', [("bearer", {"error": "a"})]),
        (', ,,="', []),
        ('"x" Bearer', []),
    ],
)
def test_parses_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    parsed = parse_challenges(header)
    assert [(each.scheme, each.parameters) for each in parsed] == expected
    assert {each.token68 for each in parsed} <= {""}


def test_parses_a_token68_between_challenges() -> None:
    assert parse_challenges('Negotiate a/b+c== ,Bearer error="x", NTLM abc') == [
        Challenge("negotiate", {}, "a/b+c=="),
        Challenge("bearer", {"error": "x"}),
        Challenge("ntlm", {}, "abc"),
    ]


WORD = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=8)
TOKEN68 = st.from_regex(r"[A-Za-z0-9\-._~+/]{1,8}={0,2}", fullmatch=True)
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.just("\t"), max_size=12)
SPACES = st.text(" \t", max_size=2)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[list[Challenge], str]:
    """Return challenges, and one of the ways to write them."""
    challenges, items = [], []
    for scheme in draw(st.lists(WORD, min_size=1, max_size=4)):
        if draw(st.booleans()):
            token68 = draw(TOKEN68)
            challenges.append(Challenge(scheme.lower(), {}, token68))
            items.append(f"{scheme} {token68}")
            continue
        parameters = draw(st.dictionaries(WORD.map(str.lower), TEXT, max_size=4))
        challenges.append(Challenge(scheme.lower(), parameters))
        written = [spell(draw, name, value) for name, value in parameters.items()]
        items.append(f"{scheme} {written.pop(0)}" if written else scheme)
        items.extend(written)
    separator = "".join([draw(SPACES), ",", draw(st.sampled_from(["", ",", " ,"])), draw(SPACES)])
    return challenges, draw(st.sampled_from(["", ",", " , "])) + separator.join(items)


def spell(draw: st.DrawFn, name: str, value: str) -> str:
    """Write a parameter as a token, or as a quoted string with or without needless escapes."""
    name = draw(st.sampled_from([name, name.upper()]))
    equals = f"{draw(SPACES)}={draw(SPACES)}"
    if draw(st.booleans()) and value and all(char in "!#$%&'*+-.^_`|~09AZaz" for char in value):
        return f"{name}{equals}{value}"
    must = '\\"' if draw(st.booleans()) else '\\"aZ ,='
    quoted = "".join(f"\\{char}" if char in must else char for char in value)
    return f'{name}{equals}"{quoted}"'


@settings(max_examples=60, deadline=None)
@given(spelled())
def test_parses_every_legal_spelling(case: tuple[list[Challenge], str]) -> None:
    challenges, header = case
    assert parse_challenges(header) == challenges


@given(st.text(st.sampled_from('ab=", \\\t/+') | st.characters(), max_size=60))
def test_any_text_is_parsed_without_an_error(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme


@pytest.mark.parametrize(
    "header",
    [
        "a " * 50_000 + ", " * 50_000 + "=" * 50_000,
        'a b="' + "\\" * 100_000,
        "a " + "b=" * 50_000,
        "a" + " " * 100_000 + "b",
        '"' * 100_000,
        "a b" + "=" * 100_000 + "c",
    ],
    ids=range(6),
)
def test_parses_a_long_header_quickly(header: str) -> None:
    begin = time.process_time()
    parse_challenges(header)
    assert time.process_time() - begin < 5
