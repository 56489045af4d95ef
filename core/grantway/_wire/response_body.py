"""Parse the body of a response as JSON or a form, in any charset.

An issued token must not be lost because of a wrong Content-Type, so the bytes take precedence over
the headers. Other text around an object is ignored if the object has the expected members.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from grantway._secrets.redaction import printable
from grantway._transport.http import HttpResponse

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE)
#: Python text codecs that are not charsets.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
#: The fallback charset, as in browsers. It can decode any bytes.
_LAST = "cp1252"
#: Whitespace, and characters that some servers put around an object.
_BLANK = " \t\r\n\v\f\0\ufeff"
_BEHIND = _BLANK + ");"
#: Maximum number of positions at which to look for an object in other text.
_MOST_STARTS = 50

Object = dict[str, Any]


def parse(
    response: HttpResponse, expected: Callable[[Object], bool]
) -> tuple[Object | None, str | None]:
    """Return the object in a response (or None) and the problem (or None).

    Args:
        response: The response.
        expected: Returns whether an object contains a token or an error. Required for text that is
            neither plain JSON nor labelled as a form.
    """
    try:
        return _object(_strict(response.body), expected)
    except (ValueError, RecursionError):
        pass
    kind = response.headers.get("content-type", "").lower()
    texts = [(text.strip(_BLANK), charset) for text, charset in _texts(response.body, kind)]
    for text, charset in texts:
        found = _read(text, charset, expected, labelled="form-urlencoded" in kind)
        if found is not None:
            return _object(found, expected)
    return None, _problem(response, kind, texts[0][0])


def _read(text: str, charset: str, expected: Callable[[Object], bool], *, labelled: bool) -> Any:
    """Return JSON, a form, or an object within other text.

    Args:
        text: The body, stripped.
        charset: The charset of percent-encoded bytes in a form.
        expected: As for ``parse``.
        labelled: Whether the Content-Type is a form.
    """
    try:
        return _strict(text)
    except (ValueError, RecursionError):
        form = _form(text, charset)
        if form is not None and (labelled or expected(form)):
            return form
    return _among_junk(text, expected)


def _problem(response: HttpResponse, kind: str, text: str) -> str:
    """Return why the body could not be parsed."""
    coding = response.headers.get("content-encoding", "").lower()
    if not text:
        return "the response is empty"
    if coding not in ("", "identity"):
        return f"the response is compressed ({printable(coding)[:40]}), which is not supported"
    if "<" in text[:256] or "html" in kind:
        return "the response is HTML"
    return "the response is not complete JSON"


def _object(found: Any, expected: Callable[[Object], bool]) -> tuple[Object | None, str | None]:
    """Return the object, possibly unwrapped from a list or a JSON string.

    Some APIs return a list of errors, and some gateways encode a response twice.
    """
    if isinstance(found, dict):
        return found, None
    inner = _unwrapped(found)
    if inner is not None and (isinstance(found, str) or len(found) == 1) and expected(inner):
        return inner, None
    return inner, f"the response is a JSON {_json_kind(found)}, not an object"


def _unwrapped(found: Any) -> Object | None:
    if isinstance(found, str):
        try:
            found = _strict(found)
        except (ValueError, RecursionError):
            return None
    elif isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else None


def _strict(text: bytes | str) -> Any:
    if not isinstance(text, str):
        # As json.loads does, which tests for other encodings first.
        usual = text.startswith(b"{") and text[1:2] != b"\0"
        encoding = "utf-8" if usual else json.detect_encoding(text)
        text = text.decode(encoding, "surrogatepass")
    return _DECODER.decode(text)


def _texts(body: bytes, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the body as text with the charset: detected, then labelled, then the fallback."""
    labelled = _CHARSET.search(kind)
    for charset in ("utf-8-sig", json.detect_encoding(body), _known(labelled and labelled[1])):
        if charset:
            try:
                yield body.decode(charset), charset
            except ValueError:
                continue
    yield body.decode(_LAST, "replace"), _LAST


def _known(label: str | None) -> str | None:
    try:
        name = codecs.lookup(label or "").name
        "".encode(name)  # raises LookupError for codecs that are not text encodings
    except (LookupError, ValueError):
        return None
    return None if name in _NO_CHARSETS else name


def _form(text: str, charset: str) -> Object | None:
    """Return the fields of a form, or None."""
    if "=" not in text or text.startswith(("{", "[", "<", '"')):
        return None
    try:
        fields = parse_qsl(
            text,
            keep_blank_values=True,
            encoding="utf-8" if charset.startswith(("utf-16", "utf-32")) else charset,
            errors="replace" if charset == _LAST else "strict",
        )
    except ValueError:
        return None
    return dict(fields)


def _among_junk(text: str, expected: Callable[[Object], bool]) -> Object | None:
    """Return the object at the start or end of the text.

    Objects in the middle, for example of a page, do not count.
    """
    decoder = lenient_decoder()
    start = -1
    for _ in range(_MOST_STARTS):
        start = text.find("{", start + 1)
        if start < 0:
            return None
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        alone = start == 0 or not text[end:].strip(_BEHIND)
        if alone and isinstance(found, dict) and expected(found):
            return found
    return None


def lenient_decoder() -> json.JSONDecoder:
    """Return a decoder for text that may have a token, although it is not quite JSON.

    It accepts control characters in strings, and returns None for NaN, Infinity and numbers with
    too many digits.
    """
    return json.JSONDecoder(strict=False, parse_constant=lambda _name: None, parse_int=_int_or_none)


def _int_or_none(digits: str) -> int | None:
    """Return the number, or None if it has more digits than Python converts (4300 by default)."""
    try:
        return int(digits)
    except ValueError:
        return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


#: Refuses NaN and Infinity, which are not JSON (RFC 8259 section 6).
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _json_kind(value: Any) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {list: "list", str: "string", bool: "boolean"}
    return names.get(type(value), "number")
