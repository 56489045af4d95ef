"""Transports with one mistake each; see ``test_kits``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import requests

from grantway import (
    ConnectionFailedError,
    Deadline,
    HttpRequest,
    HttpResponse,
    HttpTransport,
    OutcomeUnknownError,
    ResponseTooLargeError,
)
from grantway.testing import TransportTests


class Case(TransportTests):
    """The tests of one transport. ``fails`` are the tests that find its mistake."""

    patience = 2.0
    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[HttpTransport]] = HttpTransport

    @pytest.fixture
    def transport(self) -> Iterator[HttpTransport]:
        transport = self.Kind(trust_env=False, read_timeout=5)
        yield transport
        transport.close()


class BrokenRequest(Case):
    """It normalizes the URL and drops headers."""

    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            url = request.url.replace("%20", "+")
            return super().send(HttpRequest("POST", url, {}, request.body), deadline)

    fails: ClassVar = {"test_sends_the_request_unchanged"}


class BrokenStatus(Case):
    """It raises for an error status, as ``raise_for_status`` does."""

    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            response = super().send(request, deadline)
            if not response.succeeded:
                raise OutcomeUnknownError(f"The server returned {response.status}.")
            return response

    fails: ClassVar = {"test_returns_any_other_response_after_one_send"}


class BrokenRetries(Case):
    """It sends a request again after 503 and after a lost response."""

    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            try:
                response = super().send(request, deadline)
            except OutcomeUnknownError:
                return super().send(request, deadline)
            return response if response.status != 503 else super().send(request, deadline)

    fails: ClassVar = {
        "test_returns_any_other_response_after_one_send",
        "test_a_lost_response_has_an_unknown_outcome_and_is_sent_once",
    }


class BrokenHeaders(Case):
    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            response = super().send(request, deadline)
            headers = {name.title(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, response.body)

    fails: ClassVar = {"test_header_names_are_in_lower_case_and_repeated_headers_joined"}


class Requests(HttpTransport):
    """A transport that uses requests as an unsuspecting author might."""

    verify = True
    options: ClassVar[dict[str, Any]] = {"allow_redirects": False}

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        if deadline.remaining() <= 0:
            raise ConnectionFailedError("The deadline has passed.")
        try:
            got = requests.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                timeout=deadline.remaining(),
                **self.options,
            )
        except requests.ConnectTimeout as error:
            raise ConnectionFailedError("No connection.") from error
        except requests.RequestException as error:
            raise OutcomeUnknownError(f"{error}") from error
        return HttpResponse(
            got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content
        )


class BrokenRedirects(Case):
    class Kind(Requests):
        options: ClassVar = {"allow_redirects": True}

    fails: ClassVar = {"test_rejects_redirects"}


class BrokenConnectionError(Case):
    """It does not distinguish a refused connection from a lost response."""

    Kind = Requests
    fails: ClassVar = {
        "test_a_refused_connection_sends_nothing",
        "test_an_unknown_host_sends_nothing",
    }


class BrokenVerification(Case):
    @pytest.mark.filterwarnings("ignore::Warning")
    class Kind(Requests):
        options: ClassVar = {"verify": False}

    fails: ClassVar = {"test_an_untrusted_server_gets_nothing"}


class BrokenTimeout(Case):
    """It limits each read, but not the whole response."""

    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            try:
                return super().send(request, Deadline(1))
            except OutcomeUnknownError:
                time.sleep(2 - 1)
                raise

    fails: ClassVar = {
        "test_a_slow_response_ends_at_the_deadline",
        "test_a_passed_deadline_sends_nothing",
    }


class BrokenLimit(Case):
    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            try:
                return super().send(request, deadline)
            except ResponseTooLargeError:
                return HttpResponse(200, {}, b" " * 1_000_000)

    fails: ClassVar = {"test_an_endless_response_is_too_large"}


class BrokenThreads(Case):
    """It keeps the response in an attribute."""

    class Kind(HttpTransport):
        latest: HttpResponse

        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            self.latest = super().send(request, deadline)
            time.sleep(0.02)
            return self.latest

    fails: ClassVar = {"test_threads_get_their_own_responses"}


class BrokenMessage(Case):
    """Its errors show the request and the response."""

    class Kind(HttpTransport):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            try:
                return super().send(request, deadline)
            except OutcomeUnknownError as error:
                error.message += f" Sent: {request.body!r}"
                raise OutcomeUnknownError(f"{request.body!r} has no response.") from None

    fails: ClassVar = {"test_a_lost_response_has_an_unknown_outcome_and_is_sent_once"}
