"""A grant under examination: requests that it should take, and what it makes of others."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marshmallow import fields

from grantway._exceptions import GrantwayError, RequestInvalidError, TokenError
from grantway._plugins.registry import build_registry
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._requests.retry import RetryPolicy
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.fields import Scope
from grantway._types.grant import Grant
from grantway.hookspecs import hookimpl

#: A name that no grant has.
UNKNOWN = "no_such_parameter"


_LIKE = re.compile(r"\b(?:like|such as|e\.g\.) (.+)")


class Wrong:
    """A value of a type that no wire carries."""


class OddError(Exception):
    """A grant answered odd input with something else than RequestInvalidError."""


@dataclass(frozen=True)
class SampleGrant:
    """A grant, and what its author says of it.

    Attributes:
        grant: The grant.
        example: Parameters of a valid request.
        public: Names that look secret and are not.
        errors: Code on the wire -> class that the plugin brings.
    """

    grant: Grant
    example: Mapping[str, Any]
    public: frozenset[str]
    errors: Mapping[str, type[TokenError]]

    @property
    def fields(self) -> Mapping[str, fields.Field[Any]]:
        """The parameters that the schema takes, by their names on the wire."""
        wire = self.grant.names.wire
        return {wire[name]: each for name, each in self.grant.schema.load_fields.items()}

    @cached_property
    def requests(self) -> list[dict[str, Any]]:
        """Requests that keep the schema and together have as many parameters as can be told."""
        own = self.grant.names.to_wire(self.example)
        full = {**self._examples, **own}
        if self.takes(full):
            return [full]
        least = {
            name: value for name, value in full.items() if name in own or self.fields[name].required
        }
        more = [{**least, name: value} for name, value in full.items() if name not in least]
        return [request for request in (least, *more) if self.takes(request)]

    @cached_property
    def _examples(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, each in self.fields.items():
            shown = getattr(each, "example", None) or each.metadata.get("example")
            if isinstance(each, Scope):
                found[name] = ["read"]
            elif isinstance(shown, str):
                found[name] = _value(shown)
            elif shown is not None:
                found[name] = shown
            elif (said := self._said(name)) is not None:
                found[name] = said
        return found

    def _said(self, name: str) -> Any:
        """The example in what a parameter says of a wrong value, or None."""
        try:
            errors = self.judge({name: Wrong()})
        except OddError:
            return None
        for path, rules in errors.items():
            for rule in rules if path.partition(".")[0] == name else ():
                if example := _LIKE.search(rule):
                    return _value(example[1])
        return None

    def takes(self, request: Mapping[str, Any]) -> bool:
        """Whether a request keeps the schema."""
        try:
            return not self.judge(request)
        except OddError:
            return False

    def judge(self, request: Mapping[str, Any]) -> dict[str, list[str]]:
        """The errors of a request, by parameter; empty for a good one.

        Raises:
            OddError: something else was raised.
        """
        error = self.refusal(request)
        return error.errors if error is not None else {}

    def refusal(self, request: Mapping[str, Any]) -> RequestInvalidError | None:
        """What a request is refused with; None when it is good.

        Raises:
            OddError: something else was raised.
        """
        try:
            self.grant.load(request)
        except RequestInvalidError as refused:
            return refused
        except Exception as odd:  # noqa: BLE001 - what a schema's own code raises can be anything
            name = type(odd).__name__
        else:
            return None
        raise OddError(name)

    def secrets(self, request: Mapping[str, Any]) -> dict[str, str]:
        """The texts in a request that must not show, by parameter."""
        return {
            name: request[name]
            for name in sorted(self.grant.names.all_of(self.grant.secret))
            if isinstance(request.get(name), str)
        }

    def ask(self, request: Mapping[str, Any], answer: HttpResponse | GrantwayError) -> Any:
        """Send a request to a provider that exists only in memory.

        Args:
            request: The parameters.
            answer: What the provider answers, or what befalls the request.

        Raises:
            GrantwayError: what the caller would see.
        """
        registry = build_registry({"specimen": self}, entry_points=False, strict=True)
        with Client(
            Provider(token_endpoint="https://provider.example/token"),
            client_id="conformance",
            registry=registry,
            transport=_Canned(answer),
            retry=RetryPolicy(attempts=1),
        ) as client:
            arguments = self.grant.names.to_arguments(request)
            return client.create_token(grant_type=self.grant.grant_type, **arguments)

    @hookimpl
    def grantway_register_grants(self) -> list[Grant]:
        """Bring the grant."""
        return [self.grant]

    @hookimpl
    def grantway_register_errors(self) -> Mapping[str, type[TokenError]]:
        """Bring its errors."""
        return self.errors


def _value(shown: str) -> Any:
    """What an example in an error stands for: the JSON it begins with, or the words."""
    try:
        return json.JSONDecoder().raw_decode(shown)[0]
    except ValueError:
        return shown


class _Canned:
    """A transport that answers everything alike."""

    def __init__(self, answer: HttpResponse | GrantwayError) -> None:
        self._answer = answer

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        if isinstance(self._answer, GrantwayError):
            raise self._answer
        return self._answer

    def close(self) -> None:
        pass


def json_answer(status: int, payload: Mapping[str, Any]) -> HttpResponse:
    """An answer that holds an object."""
    return HttpResponse(
        status, {"content-type": "application/json"}, json.dumps(dict(payload)).encode()
    )


def leaks(error: BaseException, secret: str) -> list[str]:
    """Where a secret shows in an error that somebody logs, prints or sends on."""
    shown = {
        "str()": str(error),
        "repr()": repr(error),
        "its attributes": repr(vars(error)),
        "its traceback": "".join(traceback.format_exception(error)),
        "what it was raised from": "".join(
            f"{each!r}{vars(each)!r}" for each in _behind(error) if not isinstance(each, OddError)
        ),
    }
    places = [place for place, text in shown.items() if secret in text]
    try:
        pickled = pickle.dumps(error)
    except Exception:  # noqa: BLE001 - another rule tells of it
        pickled = b""
    return [*places, "its pickle"] if secret.encode() in pickled else places


def _behind(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    behind = error.__cause__ or error.__context__
    while behind is not None and id(behind) not in seen:
        yield behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
