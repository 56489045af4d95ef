"""An invalid dialect is rejected at creation, with the name of the attribute."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from grantway import ConfigurationError, Dialect, ErrorShape, RequestShape, ResponseShape

PATHS: tuple[Any, ...] = (
    "error",
    ["error"],
    ("error",),
    (["error"],),
    (("error", 0),),
    (("error", ""),),
    None,
)
WORDS: tuple[Any, ...] = (None, ["client_id"], {"a": 1}, {1: "a"}, {"a": ""}, {"": "a"}, "a")

REFUSED: list[tuple[Callable[..., Any], str, tuple[Any, ...]]] = [
    (RequestShape, "encoding", ("xml", "JSON", None, 1)),
    (RequestShape, "basic", ("plain", None)),
    (
        RequestShape,
        "names",
        (
            *WORDS,
            {"client_id": "app", "client_secret": "app"},
            {"client_id": "scope"},
            {"assertion": "code"},
        ),
    ),
    (
        RequestShape,
        "authorization_names",
        (*WORDS, {"scope": "s", "state": "s"}, {"scope": "client_id"}),
    ),
    (RequestShape, "constants", (*WORDS, {"grant_type": "x"}, {"client_id": "x"})),
    (RequestShape, "scope_separator", ("", ", ", "a", "0", ":", "/", ".", "\x00", 1)),
    (RequestShape, "client_auth", ("", " ", None, 1)),
    (
        RequestShape,
        "headers",
        (
            *WORDS,
            {"Authorization": "Bearer x"},
            {"content-type": "text/plain"},
            {"Host": "x"},
            {"Content-Length": "1"},
            {"X Y": "z"},
            {"X-Y": "a\r\nb"},
            {"X-Y": "\u00e9"},
            {"X-Y": "1", "x-y": "2"},
        ),
    ),
    (ResponseShape, "names", (*WORDS, {"a": "scope", "b": "scope"})),
    (ResponseShape, "token_at", (*PATHS, ())),
    (ResponseShape, "zero_never_expires", (None, 0, "no")),
    (ResponseShape, "scope_separators", ("", None, "a", ", a", "-", 1)),
    (ResponseShape, "token_types", WORDS),
    (ErrorShape, "header", ("", "X-Error", "x error", "x\r\n", 1, b"x")),
    (ErrorShape, "code_at", (*PATHS, (), ((),))),
    (ErrorShape, "description_at", (*PATHS, ((),))),
    (ErrorShape, "reason_at", (*PATHS, ((),))),
    (ErrorShape, "codes", WORDS),
    (ErrorShape, "ok", ("ok", ("ok",), ["ok", True], (1, True), ("", True), ("ok", []))),
]
DIALECT: list[tuple[str, tuple[Any, ...]]] = [
    ("name", ("", " ", None, 1, "two words", "tab\t")),
    ("request", (None, {}, ResponseShape())),
    ("response", (None, {}, RequestShape())),
    ("error", (None, {}, RequestShape())),
    ("replay_window", (-1, -0.5, math.nan, math.inf, "30", None, True)),
    ("freshness", (None, 300, (300, 30))),
    ("amend", ("amend", 1, {})),
]


@pytest.mark.parametrize(
    ("shape", "name", "value"),
    [(shape, name, value) for shape, name, values in REFUSED for value in values],
    ids=repr,
)
def test_rejects_an_invalid_shape(shape: Callable[..., Any], name: str, value: Any) -> None:
    where = f"{shape.__name__}.{name}"
    with pytest.raises(ConfigurationError) as caught:
        shape(**{name: value})
    assert str(caught.value).startswith(f"{where}: ")
    assert list(caught.value.errors) == [where]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in DIALECT for value in values], ids=repr
)
def test_rejects_an_invalid_dialect(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Dialect(**{"name": "mine", name: value})
    message = "Dialect.name: " if name == "name" else f"Dialect mine: {name}: "
    assert str(caught.value).startswith(message)


def test_every_attribute_is_validated() -> None:
    for shape in (RequestShape, ResponseShape, ErrorShape):
        tested = {name for made, name, _ in REFUSED if made is shape}
        assert tested == {each.name for each in fields(shape)}
    assert {name for name, _ in DIALECT} == {each.name for each in fields(Dialect) if each.init}


def test_rejects_a_constant_with_the_name_of_a_field() -> None:
    with pytest.raises(
        ConfigurationError, match=r"RequestShape\.constants: must not contain 'app'"
    ):
        RequestShape(names={"client_id": "app"}, constants={"app": "x"})


def test_two_names_may_be_swapped() -> None:
    RequestShape(names={"client_id": "code", "code": "client_id"})


@pytest.mark.parametrize("shape", [Dialect, RequestShape, ResponseShape, ErrorShape])
def test_a_shape_has_at_most_eight_fields(shape: Any) -> None:
    assert len([each for each in fields(shape) if each.init]) <= 8


def test_rejects_an_unknown_attribute_by_name() -> None:
    with pytest.raises(TypeError, match="separator"):
        RequestShape(separator=",")  # type: ignore[call-arg]
