"""The rules that ``assert_grant_conforms`` checks, in order. Each yields all problems it finds."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marshmallow import Schema, fields

from grantway._exceptions import GrantwayError, OutcomeUnknownError, PluginError, TokenError
from grantway._secrets.params import Params
from grantway._transport.http import HttpResponse
from grantway._types.fields import GrantSchema
from grantway._types.grant import Grant, Replay

from ._sample_grant import UNKNOWN, SampleGrant, UnexpectedError, Unsupported, json_response, leaks

#: Maximum length of a summary, which is shown in a table.
SUMMARY = 100
#: Shorter values are not redacted; see ``grantway._secrets.redaction``.
SHORTEST = 4

_SECRET_WORDS = frozenset(
    {
        *("assertion", "code", "codes", "cookie", "credential", "credentials", "jwt", "key", "otp"),
        *("apikey", "passphrase", "passwd", "password", "pin", "private", "pwd", "secret"),
        *("secrets", "signature", "ticket", "token", "tokens", "verifier"),
    }
)
#: Last words of names that describe a secret but do not contain it.
_ABOUT = frozenset(
    {
        *("alg", "algorithm", "challenge", "expiry", "format", "id", "kind", "lifetime", "method"),
        *("name", "seconds", "type", "types", "uri", "url", "version"),
    }
)
_ONCE_WORDS = frozenset({"code", "nonce", "otp", "pin", "ticket"})
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_EXAMPLE = re.compile(r"\b(?:like|such as|e\.g\.|example:?|instance)\s*,?\s*\S")


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem of a grant.

    Attributes:
        rule: Name of the rule that it breaks, such as ``secret-names``.
        what: The problem.
        remedy: The way to fix it.
    """

    rule: str
    what: str
    remedy: str


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def looks_secret(name: str) -> bool:
    """Return whether a parameter has the name of a secret."""
    words = _words(name)
    if not words or words[-1] in _ABOUT or words[-2:] == ["type", "hint"]:
        return False
    return not _SECRET_WORDS.isdisjoint(words)


def _names(names: object) -> str:
    return ", ".join(f'"{name}"' for name in sorted(map(str, names)))  # type: ignore[call-overload]


def unknown_names(sample: SampleGrant) -> Iterator[Fault]:
    """Check that an unknown parameter is an error."""
    for request in sample.requests[:1] or [{}]:
        try:
            reported = UNKNOWN in sample.validate({**request, UNKNOWN: "value"})
        except UnexpectedError:
            reported = True  # the rule ``odd-values`` reports it
        if not reported:
            yield Fault(
                "unknown-names",
                "it accepts or drops an unknown parameter, so a misspelt one would be lost",
                "subclass GrantSchema, and do not drop names in pre_load or load",
            )


def odd_values(sample: SampleGrant) -> Iterator[Fault]:
    """Check that every invalid value raises RequestInvalidError."""
    for value in (
        None,
        Unsupported(),
        7,
        b"bytes",
        "",
        "\x00",
        "\ud800",
        [],
        [Unsupported()],
        {"a": Unsupported()},
    ):
        for name in sample.fields:
            try:
                sample.validate({name: value})
            except UnexpectedError as odd:
                yield Fault(
                    "odd-values",
                    f"its schema raised {odd} when {name} was a {type(value).__name__}",
                    "raise marshmallow.ValidationError for values that you do not accept; fields "
                    "check types before validators run, but after pre_load",
                )
                return


def examples(sample: SampleGrant) -> Iterator[Fault]:
    """Check that the errors of each field show an example."""
    asked: tuple[tuple[str, Callable[[fields.Field[Any]], bool], dict[str, Any]], ...] = (
        ("missing", lambda each: each.required, {}),
        ("null", lambda each: not each.allow_none, dict.fromkeys(sample.fields)),
        ("of the wrong type", lambda _: True, dict.fromkeys(sample.fields, Unsupported())),
    )
    for case, counts, request in asked:
        try:
            errors = sample.validate(request)
        except UnexpectedError:
            continue  # the rule ``odd-values`` reports it
        for name, each in sample.fields.items():
            said = _rules_for(name, errors)
            if counts(each) and not said:
                yield Fault(
                    "examples",
                    f"its field {name} reports no error when it is {case}",
                    "use a field that checks its type, such as grantway.Text(example=...)",
                )
            elif counts(each) and not any(_EXAMPLE.search(rule) for rule in said):
                yield Fault(
                    "examples",
                    f"its field {name} shows no example when it is {case}; its error is: {said[0]}",
                    "use grantway.Text(example=...), or give the field error_messages, such as "
                    '{"required": "is required, such as 3600", "null": "must be a number, such as '
                    '3600", "invalid": "must be a number, such as 3600"}',
                )


def all_errors(sample: SampleGrant) -> Iterator[Fault]:
    """Check that all errors of a request are reported together."""
    required = {name for name, each in sample.fields.items() if each.required}
    wrong: dict[str, Any] = dict.fromkeys(sample.fields, Unsupported())
    reported = {name for name in wrong if _is_reported(sample, {name: wrong[name]}, name)}
    for request, expected in (
        ({**wrong, UNKNOWN: "value"}, reported | {UNKNOWN}),
        ({UNKNOWN: "value"}, required | {UNKNOWN}),
    ):
        try:
            errors = sample.validate(request)
        except UnexpectedError:
            continue
        hidden = {name for name in expected if not _rules_for(name, errors)} - {UNKNOWN}
        if hidden:
            yield Fault(
                "all-errors",
                f"the errors of {', '.join(sorted(hidden))} are not reported when other parameters "
                "are wrong too",
                "check each parameter in its field, and combinations in a @validates_schema that "
                "collects all errors before it raises",
            )
            return


def _is_reported(sample: SampleGrant, request: Mapping[str, Any], name: str) -> bool:
    try:
        return bool(_rules_for(name, sample.validate(request)))
    except UnexpectedError:
        return False


def _rules_for(name: str, errors: Mapping[str, list[str]]) -> list[str]:
    """Return the errors of one parameter, including those of its items and members."""
    return [
        rule
        for path, rules in errors.items()
        if path == name or path.startswith(f"{name}.")
        for rule in rules
    ]


def secret_names(sample: SampleGrant) -> Iterator[Fault]:
    """Check that parameters that look secret are listed in ``secret``."""
    grant = sample.grant
    secret, single_use = grant.names.all_of(grant.secret), grant.names.all_of(grant.single_use)
    public = grant.names.all_of(sample.public)
    for name, each in sample.fields.items():
        if name in secret or name in public:
            continue
        why = (
            "is single-use, so anyone who reads it can redeem it"
            if name in single_use
            else "is load_only, like secrets"
            if each.load_only
            else "has the name of a secret"
            if looks_secret(name)
            else ""
        )
        if why:
            yield Fault(
                "secret-names",
                f"its field {name} {why}, but is not in secret, so errors would show its value",
                f"secret=frozenset({{{_names(grant.secret | {name})}}}), or, if it is no secret, "
                f'assert_grant_conforms(..., public={{"{name}"}})',
            )


def secret_values(sample: SampleGrant) -> Iterator[Fault]:
    """Check that no secret appears in an error, its pickle, its traceback or a repr."""
    secret = sample.grant.names.all_of(sample.grant.secret)
    for name in sorted(secret & sample.fields.keys()):
        places = sorted(set(_leaks_for_invalid_values(sample, name)))
        if places:
            yield Fault(
                "secret-values",
                f"the value of {name} appears in {', '.join(places)} of the error for an invalid "
                "value",
                "do not quote values in error messages (no {input}), and do not chain the "
                "ValidationError, which contains the input",
            )
    for request in sample.requests:
        yield from _leaks_for_echoed_secrets(sample, request)


def _leaks_for_invalid_values(sample: SampleGrant, name: str) -> Iterator[str]:
    marker = "s3cr3t-that-must-not-show"
    good = sample.requests[0] if sample.requests else {}
    invalid: tuple[Any, ...] = (
        *(f"{marker}\x00", f"{marker} {marker}", f"{marker}é", marker * 4000),
        *(marker.encode(), [marker], {"value": marker}, marker),
    )
    for value in invalid:
        for request in ({**good, name: value, UNKNOWN: "value"}, {**good, name: value}):
            try:
                error = sample.rejection(request)
            except UnexpectedError:
                continue
            if error is not None:
                yield from leaks(error, marker)
            elif marker in repr(sample.grant.load(request)):
                yield "the repr of the parameters, instead"


def _leaks_for_echoed_secrets(sample: SampleGrant, request: Mapping[str, Any]) -> Iterator[Fault]:
    """Check the errors for a provider that repeats a secret."""
    for name, secret in sample.secrets(request).items():
        if len(secret) < SHORTEST:
            continue
        echo = f"{secret} is invalid"
        page = HttpResponse(502, {"content-type": "text/html"}, f"<p>{echo}</p>".encode())
        responses: list[HttpResponse | GrantwayError] = [
            page,
            OutcomeUnknownError("The response was lost."),
            json_response(200, {"message": echo}),
            *(
                json_response(400, {"error": code, "error_description": echo, "error_uri": echo})
                for code in ("invalid_grant", "an_unregistered_code", *sample.errors)
            ),
        ]
        for response in responses:
            try:
                sample.request_token(request, response)
            except GrantwayError as error:
                if places := leaks(error, secret):
                    yield Fault(
                        "secret-values",
                        f"the value of {name} appears in {', '.join(places)} of "
                        f"{type(error).__name__} when the provider repeats it",
                        "keep the redacted arguments that grantway passes to error classes, and "
                        "add nothing from the request",
                    )
                    return
            except Exception:  # noqa: BLE001 - the rule ``requests`` reports it
                return


def replay(sample: SampleGrant) -> Iterator[Fault]:
    """Check that the replay class fits the parameters."""
    grant = sample.grant
    if grant.replay is not Replay.SAFE:
        return
    for name in sample.fields:
        words = _words(name)
        once = not _ONCE_WORDS.isdisjoint(words) and looks_secret(name)
        if once and name not in grant.names.all_of(sample.public):
            yield Fault(
                "replay",
                f"replay is Replay.SAFE, so a lost request is sent again, but its field {name} "
                "has the name of a single-use value",
                "replay=Replay.NEVER, or, if the provider accepts the value more than once, "
                f'assert_grant_conforms(..., public={{"{name}"}})',
            )


def repeatable(sample: SampleGrant) -> Iterator[Fault]:
    """Check that exactly the repeatable parameters may be lists."""
    grant = sample.grant
    repeatable = grant.names.all_of(grant.repeatable)
    reported: set[str] = set()
    for request in sample.requests:
        sent = grant.names.on_wire(grant.load(request))
        for name, value in request.items():
            one = value[0] if isinstance(value, list) and value else value
            several = sample.accepts({**request, name: [one, one]})
            # A scope's names are joined into one string.
            is_list = isinstance(sent.get(name), (list, tuple)) and name != "scope"
            if name in reported:
                continue
            if name in repeatable and not several:
                reported.add(name)
                yield Fault(
                    "repeatable",
                    f"its field {name} is in repeatable, but does not accept a list",
                    f"{name} = fields.List(Text(example=...)), or remove it from repeatable",
                )
            elif is_list and name not in repeatable:
                reported.add(name)
                yield Fault(
                    "repeatable",
                    f"its field {name} becomes a list, which is sent as repeated parameters, but "
                    "it is not in repeatable, so the issuer would reject it",
                    f"repeatable=frozenset({{{_names(grant.repeatable | {name})}}}), or make it "
                    "one string",
                )


def requests(sample: SampleGrant) -> Iterator[Fault]:
    """Check that there is a valid example request, and that a response becomes a token."""
    if not sample.requests:
        unknown = sorted(set(sample.example) - set(sample.fields))
        yield Fault(
            "requests",
            "the examples of its fields make no valid request"
            + (f", and its schema lacks {', '.join(unknown)} of example=" if unknown else ""),
            "give a valid request: assert_grant_conforms(..., example={...})",
        )
        return
    payload = {"access_token": "at-conformance", "token_type": "Bearer", "expires_in": 3600}
    for request in sample.requests:
        loaded: object = sample.grant.load(request)
        if not isinstance(loaded, Params):
            yield Fault(
                "requests",
                f"load returned a {type(loaded).__name__}, whose repr shows the values",
                "change the result of super().load() in place, and return it",
            )
            return
        try:
            sample.request_token(request, json_response(200, payload))
        except Exception as error:  # noqa: BLE001 - process_token is third-party code
            cause = error.__cause__ if isinstance(error, PluginError) else error
            reported = f"raised {type(cause).__name__}" if cause else "returned no grantway.Token"
            yield Fault(
                "requests",
                f"process_token {reported} for a minimal response (access_token, token_type, "
                "expires_in)",
                "return a grantway.Token for minimal responses as well",
            )
            return


def pickling(sample: SampleGrant) -> Iterator[Fault]:
    """Check that the grant can be copied, changed and pickled."""
    grant = sample.grant
    operations: dict[str, Callable[[], Grant]] = {
        "copied": lambda: copy.copy(grant),
        "deep-copied": lambda: copy.deepcopy(grant),
        "changed by dataclasses.replace": lambda: replace(grant, summary=grant.summary),
        "pickled": lambda: _pickled(grant),
    }
    for operation, make in operations.items():
        try:
            made = make()
            same = made.grant_type == grant.grant_type
            reported = "" if same else "the result is another grant"
            for request in sample.requests:
                made.load(request)
        except Exception as error:  # noqa: BLE001 - a field's code may raise anything
            reported = f"{type(error).__name__}: {error}"
        if reported:
            yield Fault(
                "pickling",
                f"it cannot be {operation}: {reported:.200}",
                "create the schema, its fields and the grant at module level, use named functions "
                "instead of lambdas, and keep no locks or connections in them",
            )


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - created in this process


def errors(sample: SampleGrant) -> Iterator[Fault]:
    """Check that errors can be pickled, and that the plugin's error classes are raised."""
    refused = sample.rejection({UNKNOWN: "value"})
    if refused is not None and (reported := _changed(refused)):
        yield Fault(
            "errors",
            f"the error about its parameters {reported}",
            "do not override load; add checks to the schema",
        )
    for code, kind in sample.errors.items():
        for reported in _of_class(sample, code, kind):
            yield Fault(
                "errors",
                f"its error class {kind.__name__} {reported}",
                "subclass grantway.TokenError with a docstring and "
                f'`code = wire = "{code}"`, and do not override __init__ and __reduce__',
            )


def _of_class(sample: SampleGrant, code: str, kind: type[TokenError]) -> Iterator[str]:
    if not kind.__doc__:
        yield "has no docstring"
    if kind.wire != code:
        yield f"is registered for {code}, but its wire is {kind.wire!r}"
    if kind.code in {"", TokenError.code}:
        yield "does not set code"
    for request in sample.requests[:1]:
        try:
            sample.request_token(
                request, json_response(400, {"error": code, "error_description": "No."})
            )
        except kind as error:
            if reported := _changed(error):
                yield reported
        except Exception as other:  # noqa: BLE001 - its __init__ is third-party code
            yield f"is not raised for {code}; {type(other).__name__} is raised instead"


def _changed(error: GrantwayError) -> str:
    try:
        back = _pickled(error)
    except Exception as failed:  # noqa: BLE001 - third-party code
        return f"cannot be pickled ({type(failed).__name__})"
    same = type(back) is type(error) and str(back) == str(error) and vars(back) == vars(error)
    return "" if same else "changes when it is pickled"


def docs(sample: SampleGrant) -> Iterator[Fault]:
    """Check the summary and the docstrings."""
    grant = sample.grant
    summary = grant.summary
    if not isinstance(summary, str) or not summary.strip():
        yield Fault("docs", "it has no summary", 'summary="A token for a coupon"')
    elif not summary.isprintable() or len(summary) > SUMMARY:
        yield Fault(
            "docs",
            f"its summary is not a single line of at most {SUMMARY} characters",
            "describe the grant in one line, and put the rest into the schema's docstring",
        )
    for kind, base in ((type(grant.schema), (Schema, GrantSchema)), (type(grant), (Grant,))):
        # The docstring of a dataclass defaults to its signature.
        documented = kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
        if kind not in base and not documented:
            yield Fault(
                "docs",
                f"its class {kind.__name__} has no docstring",
                "describe the parameters, or what the class changes, in one sentence",
            )


RULES: tuple[Callable[[SampleGrant], Iterator[Fault]], ...] = (
    requests,
    unknown_names,
    odd_values,
    examples,
    all_errors,
    secret_names,
    secret_values,
    replay,
    repeatable,
    pickling,
    errors,
    docs,
)
