"""A grant under test, with sample requests and the errors it reports for others."""

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
from grantway._plugins.building import build_registry
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._requests.retry import RetryPolicy
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.fields import Scope
from grantway._types.grant import Grant
from grantway.hookspecs import hookimpl

#: A parameter name that no grant has.
UNKNOWN = "no_such_parameter"


#: A float, such as the duration of an attempt, or the address of an object.
_NUMBER = re.compile(r"\b(?:0x[0-9a-f]+|\d+\.\d+(?:e[+-]?\d+)?)\b")
_EXAMPLE_AFTER = re.compile(r"\b(?:like|such as|e\.g\.) (.+)")


class Unsupported:
    """A value of a type that no request can contain."""


class UnexpectedError(Exception):
    """A grant raised something other than RequestInvalidError for invalid input."""


@dataclass(frozen=True)
class SampleGrant:
    """A grant, with information from its author.

    Attributes:
        grant: The grant.
        example: Parameters of a valid request.
        public: Names of parameters that look secret but are not.
        errors: Error classes of the plugin, by the code in the response.
    """

    grant: Grant
    example: Mapping[str, Any]
    public: frozenset[str]
    errors: Mapping[str, type[TokenError]]

    @property
    def fields(self) -> Mapping[str, fields.Field[Any]]:
        """The fields of the schema, by parameter name in the request."""
        wire = self.grant.names.wire
        return {wire[name]: each for name, each in self.grant.schema.load_fields.items()}

    @cached_property
    def requests(self) -> list[dict[str, Any]]:
        """Valid requests that together contain as many parameters as possible."""
        own = self.grant.names.to_wire(self.example)
        full = {**self._examples, **own}
        if self.accepts(full):
            return [full]
        least = {
            name: value for name, value in full.items() if name in own or self.fields[name].required
        }
        more = [{**least, name: value} for name, value in full.items() if name not in least]
        return [request for request in (least, *more) if self.accepts(request)]

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
            elif (said := self._example_in_error(name)) is not None:
                found[name] = said
        return found

    def _example_in_error(self, name: str) -> Any:
        """Return the example in a parameter's error about a wrong value, or None."""
        try:
            errors = self.validate({name: Unsupported()})
        except UnexpectedError:
            return None
        for path, rules in errors.items():
            for rule in rules if path.partition(".")[0] == name else ():
                if example := _EXAMPLE_AFTER.search(rule):
                    return _value(example[1])
        return None

    def accepts(self, request: Mapping[str, Any]) -> bool:
        """Return whether a request is valid."""
        try:
            return not self.validate(request)
        except UnexpectedError:
            return False

    def validate(self, request: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the errors of a request by parameter; empty for a valid one.

        Raises:
            UnexpectedError: The grant raised something other than RequestInvalidError.
        """
        error = self.rejection(request)
        return error.errors if error is not None else {}

    def rejection(self, request: Mapping[str, Any]) -> RequestInvalidError | None:
        """Return the error for a request, or None for a valid one.

        Raises:
            UnexpectedError: The grant raised something other than RequestInvalidError.
        """
        try:
            self.grant.load(request)
        except RequestInvalidError as refused:
            return refused
        except Exception as odd:  # noqa: BLE001 - the schema's code may raise anything
            name = type(odd).__name__
        else:
            return None
        raise UnexpectedError(name)

    def secrets(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Return the secret strings in a request, by parameter."""
        return {
            name: request[name]
            for name in sorted(self.grant.names.all_of(self.grant.secret))
            if isinstance(request.get(name), str)
        }

    def request_token(
        self, request: Mapping[str, Any], response: HttpResponse | GrantwayError
    ) -> Any:
        """Send a request to a provider in memory.

        Args:
            request: The parameters.
            response: The provider's response, or an error of the transport.

        Raises:
            GrantwayError: The error that a caller would get.
        """
        registry = build_registry({"sample": self}, entry_points=False, strict=True)
        with Client(
            Provider(token_endpoint="https://provider.example/token"),
            client_id="conformance",
            registry=registry,
            transport=_FixedTransport(response),
            retry=RetryPolicy(attempts=1),
        ) as client:
            arguments = self.grant.names.to_arguments(request)
            return client.create_token(grant_type=self.grant.grant_type, **arguments)

    @hookimpl
    def grantway_register_grants(self) -> list[Grant]:
        """Register the grant."""
        return [self.grant]

    @hookimpl
    def grantway_register_errors(self) -> Mapping[str, type[TokenError]]:
        """Register the error classes."""
        return self.errors


def _value(shown: str) -> Any:
    """Return the value of an example in an error: the JSON at its start, or the text itself."""
    try:
        return json.JSONDecoder().raw_decode(shown)[0]
    except ValueError:
        return shown


class _FixedTransport:
    """A transport that always returns the same response, or raises the same error."""

    def __init__(self, response: HttpResponse | GrantwayError) -> None:
        self._answer = response

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        if isinstance(self._answer, GrantwayError):
            raise self._answer
        return self._answer

    def close(self) -> None:
        pass


def json_response(status: int, payload: Mapping[str, Any]) -> HttpResponse:
    """Return a response with a JSON object."""
    return HttpResponse(
        status, {"content-type": "application/json"}, json.dumps(dict(payload)).encode()
    )


def leaks(error: BaseException, secret: str) -> list[str]:
    """Return the places in which a secret appears when an error is logged, printed or pickled."""
    shown = {
        "str()": str(error),
        "repr()": repr(error),
        "its attributes": repr(vars(error)),
        "its traceback": "".join(traceback.format_exception(error)),
        "its causes": "".join(
            f"{each!r}{vars(each)!r}"
            for each in _causes(error)
            if not isinstance(each, UnexpectedError)
        ),
    }
    # The digits of a duration or an address may happen to be those of a short secret.
    places = [place for place, text in shown.items() if secret in _NUMBER.sub("", text)]
    try:
        pickled = pickle.dumps(error)
    except Exception:  # noqa: BLE001 - another rule reports it
        pickled = b""
    return [*places, "its pickle"] if secret.encode() in pickled else places


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    behind = error.__cause__ or error.__context__
    while behind is not None and id(behind) not in seen:
        yield behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
