"""The rules that ``assert_grant_conforms`` checks, in order. Each tells of all faults it finds."""

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

from ._sample_grant import UNKNOWN, OddError, SampleGrant, Wrong, json_answer, leaks

#: Most characters of a summary: it stands in a table.
SUMMARY = 100
#: A value shorter than this is not cut out of texts; see ``grantway._secrets.redaction``.
SHORTEST = 4

_SECRET_WORDS = frozenset(
    {
        *("assertion", "code", "codes", "cookie", "credential", "credentials", "jwt", "key", "otp"),
        *("apikey", "passphrase", "passwd", "password", "pin", "private", "pwd", "secret"),
        *("secrets", "signature", "ticket", "token", "tokens", "verifier"),
    }
)
#: Last words of names that tell of a secret without being one.
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
    """A rule that a grant breaks.

    Attributes:
        rule: Its name, such as ``secret-names``.
        what: What is wrong.
        remedy: How to put it right.
    """

    rule: str
    what: str
    remedy: str


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def looks_secret(name: str) -> bool:
    """Whether a parameter's name says that its value is a secret."""
    words = _words(name)
    if not words or words[-1] in _ABOUT or words[-2:] == ["type", "hint"]:
        return False
    return not _SECRET_WORDS.isdisjoint(words)


def _names(names: object) -> str:
    return ", ".join(f'"{name}"' for name in sorted(map(str, names)))  # type: ignore[call-overload]


def unknown_names(specimen: SampleGrant) -> Iterator[Fault]:
    """A name that the schema does not have is an error that says so."""
    for request in specimen.requests[:1] or [{}]:
        try:
            told = UNKNOWN in specimen.judge({**request, UNKNOWN: "value"})
        except OddError:
            told = True  # the rule ``odd-values`` tells of it
        if not told:
            yield Fault(
                "unknown-names",
                "a parameter that its schema does not have was dropped or let through, so a "
                "misspelt one would be lost",
                "subclass GrantSchema, and let no pre_load or load of your own drop names",
            )


def odd_values(specimen: SampleGrant) -> Iterator[Fault]:
    """Whatever a parameter holds, the caller gets a RequestInvalidError."""
    for value in (None, Wrong(), 7, b"bytes", "", "\x00", "\ud800", [], [Wrong()], {"a": Wrong()}):
        for name in specimen.fields:
            try:
                specimen.judge({name: value})
            except OddError as odd:
                yield Fault(
                    "odd-values",
                    f"{odd} came out of its schema when {name} was a {type(value).__name__}",
                    "raise marshmallow.ValidationError for what you do not take; fields check "
                    "types before validators run, pre_load and load come before that",
                )
                return


def examples(specimen: SampleGrant) -> Iterator[Fault]:
    """Each field's errors show what was expected."""
    asked: tuple[tuple[str, Callable[[fields.Field[Any]], bool], dict[str, Any]], ...] = (
        ("missing", lambda each: each.required, {}),
        ("null", lambda each: not each.allow_none, dict.fromkeys(specimen.fields)),
        ("of the wrong type", lambda _: True, dict.fromkeys(specimen.fields, Wrong())),
    )
    for case, counts, request in asked:
        try:
            errors = specimen.judge(request)
        except OddError:
            continue  # the rule ``odd-values`` tells of it
        for name, each in specimen.fields.items():
            said = _of(name, errors)
            if counts(each) and not said:
                yield Fault(
                    "examples",
                    f"its field {name} says nothing when it is {case}",
                    "use a field that checks its type, such as grantway.Text(example=...)",
                )
            elif counts(each) and not any(_EXAMPLE.search(rule) for rule in said):
                yield Fault(
                    "examples",
                    f"its field {name} shows no example when it is {case}; it says: {said[0]}",
                    "use grantway.Text(example=...), or give the field error_messages, such as "
                    '{"required": "is required, like 3600", "null": "must not be null; it is '
                    'something like 3600", "invalid": "must be a number, like 3600"}',
                )


def all_errors(specimen: SampleGrant) -> Iterator[Fault]:
    """All that is wrong with a request is told at once."""
    required = {name for name, each in specimen.fields.items() if each.required}
    wrong: dict[str, Any] = dict.fromkeys(specimen.fields, Wrong())
    told = {name for name in wrong if _first(specimen, {name: wrong[name]}, name)}
    for request, expected in (
        ({**wrong, UNKNOWN: "value"}, told | {UNKNOWN}),
        ({UNKNOWN: "value"}, required | {UNKNOWN}),
    ):
        try:
            errors = specimen.judge(request)
        except OddError:
            continue
        hidden = {name for name in expected if not _of(name, errors)} - {UNKNOWN}
        if hidden:
            yield Fault(
                "all-errors",
                f"{', '.join(sorted(hidden))} {'is' if len(hidden) == 1 else 'are'} wrong, and not "
                "told when something else is wrong too",
                "check each parameter in its own field, and what concerns several in a "
                "@validates_schema that collects its errors before it raises",
            )
            return


def _first(specimen: SampleGrant, request: Mapping[str, Any], name: str) -> bool:
    try:
        return bool(_of(name, specimen.judge(request)))
    except OddError:
        return False


def _of(name: str, errors: Mapping[str, list[str]]) -> list[str]:
    """What was said of one parameter, items and members included."""
    return [
        rule
        for path, rules in errors.items()
        if path == name or path.startswith(f"{name}.")
        for rule in rules
    ]


def secret_names(specimen: SampleGrant) -> Iterator[Fault]:
    """What looks secret, by its name or its use, is in ``secret``."""
    grant = specimen.grant
    secret, single_use = grant.names.all_of(grant.secret), grant.names.all_of(grant.single_use)
    public = grant.names.all_of(specimen.public)
    for name, each in specimen.fields.items():
        if name in secret or name in public:
            continue
        why = (
            "is single use, so who holds it can redeem it"
            if name in single_use
            else "is load_only, as secrets are"
            if each.load_only
            else "has the name of a secret"
            if looks_secret(name)
            else ""
        )
        if why:
            yield Fault(
                "secret-names",
                f"its field {name} {why}, and is not in secret, so it would show in errors",
                f"secret=frozenset({{{_names(grant.secret | {name})}}}), or, if everybody may read "
                f'it, assert_grant_conforms(..., public={{"{name}"}})',
            )


def secret_values(specimen: SampleGrant) -> Iterator[Fault]:
    """No secret shows in an error, its pickle or its traceback, nor in a repr."""
    secret = specimen.grant.names.all_of(specimen.grant.secret)
    for name in sorted(secret & specimen.fields.keys()):
        places = sorted(set(_spilled(specimen, name)))
        if places:
            yield Fault(
                "secret-values",
                f"the value of {name} shows in {', '.join(places)} of the error about a bad value",
                "quote no value in an error message (no {input}), and raise nothing from the "
                "ValidationError, which holds what was given",
            )
    for request in specimen.requests:
        yield from _echoed(specimen, request)


def _spilled(specimen: SampleGrant, name: str) -> Iterator[str]:
    marker = "s3cr3t-that-must-not-show"
    good = specimen.requests[0] if specimen.requests else {}
    spoilt: tuple[Any, ...] = (
        *(f"{marker}\x00", f"{marker} {marker}", f"{marker}é", marker * 4000),
        *(marker.encode(), [marker], {"value": marker}, marker),
    )
    for value in spoilt:
        for request in ({**good, name: value, UNKNOWN: "value"}, {**good, name: value}):
            try:
                error = specimen.refusal(request)
            except OddError:
                continue
            if error is not None:
                yield from leaks(error, marker)
            elif marker in repr(specimen.grant.load(request)):
                yield "the repr of the parameters, not in that"


def _echoed(specimen: SampleGrant, request: Mapping[str, Any]) -> Iterator[Fault]:
    """A provider that repeats what it was sent."""
    for name, secret in specimen.secrets(request).items():
        if len(secret) < SHORTEST:
            continue
        echo = f"{secret} is no good"
        page = HttpResponse(502, {"content-type": "text/html"}, f"<p>{echo}</p>".encode())
        answers: list[HttpResponse | GrantwayError] = [
            page,
            OutcomeUnknownError("The answer was lost."),
            json_answer(200, {"message": echo}),
            *(
                json_answer(400, {"error": code, "error_description": echo, "error_uri": echo})
                for code in ("invalid_grant", "a_code_of_its_own", *specimen.errors)
            ),
        ]
        for answer in answers:
            try:
                specimen.ask(request, answer)
            except GrantwayError as error:
                if places := leaks(error, secret):
                    yield Fault(
                        "secret-values",
                        f"the value of {name} shows in {', '.join(places)} of "
                        f"{type(error).__name__} when the provider repeats it",
                        "let error classes keep what grantway gives them, which has the secrets "
                        "cut out, and add nothing of the request",
                    )
                    return
            except Exception:  # noqa: BLE001 - the rule ``requests`` tells of it
                return


def replay(specimen: SampleGrant) -> Iterator[Fault]:
    """The replay class fits what the parameters are."""
    grant = specimen.grant
    if grant.replay is not Replay.SAFE:
        return
    for name in specimen.fields:
        words = _words(name)
        once = not _ONCE_WORDS.isdisjoint(words) and looks_secret(name)
        if once and name not in grant.names.all_of(specimen.public):
            yield Fault(
                "replay",
                f"replay is Replay.SAFE, so a lost request is sent again, and its field {name} "
                "has the name of something that is taken once",
                "replay=Replay.NEVER, or, if the provider takes it any number of times, "
                f'assert_grant_conforms(..., public={{"{name}"}})',
            )


def repeatable(specimen: SampleGrant) -> Iterator[Fault]:
    """What stands several times on the wire may be a list, and nothing else becomes one."""
    grant = specimen.grant
    repeatable = grant.names.all_of(grant.repeatable)
    told: set[str] = set()
    for request in specimen.requests:
        sent = grant.names.on_wire(grant.load(request))
        for name, value in request.items():
            one = value[0] if isinstance(value, list) and value else value
            several = specimen.takes({**request, name: [one, one]})
            # A scope's names are joined into one string.
            is_list = isinstance(sent.get(name), (list, tuple)) and name != "scope"
            if name in told:
                continue
            if name in repeatable and not several:
                told.add(name)
                yield Fault(
                    "repeatable",
                    f"its field {name} is in repeatable, and takes no list",
                    f"{name} = fields.List(Text(example=...)), or take it out of repeatable",
                )
            elif is_list and name not in repeatable:
                told.add(name)
                yield Fault(
                    "repeatable",
                    f"its field {name} becomes a list, which stands several times on the wire, "
                    "and is not in repeatable, so the issuer would refuse the second",
                    f"repeatable=frozenset({{{_names(grant.repeatable | {name})}}}), or make it "
                    "one string",
                )


def requests(specimen: SampleGrant) -> Iterator[Fault]:
    """There is an example of a good request, and an answer to it becomes a token."""
    if not specimen.requests:
        unknown = sorted(set(specimen.example) - set(specimen.fields))
        yield Fault(
            "requests",
            "no good request can be made of its fields' examples"
            + (f", and {', '.join(unknown)} of example= is not in its schema" if unknown else ""),
            "give a request that keeps the schema: assert_grant_conforms(..., example={...})",
        )
        return
    payload = {"access_token": "at-conformance", "token_type": "Bearer", "expires_in": 3600}
    for request in specimen.requests:
        loaded: object = specimen.grant.load(request)
        if not isinstance(loaded, Params):
            yield Fault(
                "requests",
                f"load gave a {type(loaded).__name__}, which shows its values when it is printed",
                "change the result of super().load() in place, and return it",
            )
            return
        try:
            specimen.ask(request, json_answer(200, payload))
        except Exception as error:  # noqa: BLE001 - process_token is the author's code
            cause = error.__cause__ if isinstance(error, PluginError) else error
            told = f"raised {type(cause).__name__}" if cause else "returned no grantway.Token"
            yield Fault(
                "requests",
                f"process_token {told} for a plain answer (access_token, token_type, expires_in)",
                "return a grantway.Token, also where the answer holds no more than that",
            )
            return


def pickling(specimen: SampleGrant) -> Iterator[Fault]:
    """A grant can be copied, changed and sent to another process, and so can its errors."""
    grant = specimen.grant
    ways: dict[str, Callable[[], Grant]] = {
        "copied": lambda: copy.copy(grant),
        "copied with all it holds": lambda: copy.deepcopy(grant),
        "changed by dataclasses.replace": lambda: replace(grant, summary=grant.summary),
        "pickled": lambda: _pickled(grant),
    }
    for way, make in ways.items():
        try:
            made = make()
            told = "" if made.grant_type == grant.grant_type else "it comes out as another grant"
            for request in specimen.requests:
                made.load(request)
        except Exception as error:  # noqa: BLE001 - a field's own code can raise anything
            told = f"{type(error).__name__}: {error}"
        if told:
            yield Fault(
                "pickling",
                f"it cannot be {way}: {told:.200}",
                "make the schema, its fields and the grant at the top of a module, with functions "
                "that have a name rather than lambdas, and keep no lock or connection in them",
            )


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - it was made here


def errors(specimen: SampleGrant) -> Iterator[Fault]:
    """The errors about it survive pickling, and its own classes are raised for their codes."""
    refused = specimen.refusal({UNKNOWN: "value"})
    if refused is not None and (told := _changed(refused)):
        yield Fault(
            "errors",
            f"the error about its parameters {told}",
            "leave load as it is; checks of your own belong into the schema",
        )
    for code, kind in specimen.errors.items():
        for told in _of_class(specimen, code, kind):
            yield Fault(
                "errors",
                f"its error class {kind.__name__} {told}",
                "subclass grantway.TokenError with a docstring and "
                f'`code = wire = "{code}"`, and leave __init__ and __reduce__ as they are',
            )


def _of_class(specimen: SampleGrant, code: str, kind: type[TokenError]) -> Iterator[str]:
    if not kind.__doc__:
        yield "has no docstring"
    if kind.wire != code:
        yield f"is registered for {code}, and its wire is {kind.wire!r}"
    if kind.code in {"", TokenError.code}:
        yield "has no code of its own"
    for request in specimen.requests[:1]:
        try:
            specimen.ask(request, json_answer(400, {"error": code, "error_description": "No."}))
        except kind as error:
            if told := _changed(error):
                yield told
        except Exception as other:  # noqa: BLE001 - its __init__ is the author's code
            yield f"is not what is raised for {code}, but {type(other).__name__} is"


def _changed(error: GrantwayError) -> str:
    try:
        back = _pickled(error)
    except Exception as failed:  # noqa: BLE001 - the author's code
        return f"cannot be pickled ({type(failed).__name__})"
    same = type(back) is type(error) and str(back) == str(error) and vars(back) == vars(error)
    return "" if same else "changes when it is pickled"


def docs(specimen: SampleGrant) -> Iterator[Fault]:
    """A reader of tables, errors and source learns what it is."""
    grant = specimen.grant
    summary = grant.summary
    if not isinstance(summary, str) or not summary.strip():
        yield Fault("docs", "it has no summary", 'summary="A token for a coupon"')
    elif not summary.isprintable() or len(summary) > SUMMARY:
        yield Fault(
            "docs",
            f"its summary is not one line of at most {SUMMARY} characters",
            "say in one line what it gives for what, and the rest in the schema's docstring",
        )
    for kind, base in ((type(grant.schema), (Schema, GrantSchema)), (type(grant), (Grant,))):
        # A dataclass without a docstring is given its signature for one.
        documented = kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
        if kind not in base and not documented:
            yield Fault(
                "docs",
                f"its class {kind.__name__} has no docstring",
                "tell in a sentence what the parameters are, or what the class does otherwise",
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
