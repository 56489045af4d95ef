"""Client authentication with one mistake each; see ``test_kits``."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from grantway import OutgoingRequest
from grantway.testing import ClientAuthTests

KEY = "k-very-secret-0123456789"


@dataclass
class ApiKey:
    """A correct method. The broken ones change one member."""

    client_id: str
    key: str = field(repr=False)

    def authenticate(self, request: OutgoingRequest) -> Any:
        request.headers["X-Api-Key"] = self.key

    def secrets(self) -> Any:
        return (self.key,)


class Case(ClientAuthTests):
    """The tests of one method. ``fails`` are the tests that find its mistake."""

    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[ApiKey]] = ApiKey

    @pytest.fixture
    def client_auth(self) -> ApiKey:
        return self.Kind("my-client", KEY)


class Correct(Case):
    """A correct method, to show that the tests pass."""


class BrokenSecrets(Case):
    class Kind(ApiKey):
        def secrets(self) -> Any:
            return self.key  # a text is read as its letters

    fails: ClassVar = {"test_has_every_member_of_client_auth"}


class BrokenRepr(Case):
    @dataclass
    class Kind(ApiKey):
        key: str

    fails: ClassVar = {"test_repr_and_str_contain_no_secret"}


class BrokenReturn(Case):
    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            return {**request.headers, "X-Api-Key": self.key}

    fails: ClassVar = {"test_changes_the_request_and_returns_nothing"}


class BrokenHeader(Case):
    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            request.headers["X-Api-Key"] = f"{self.key}\n"

    fails: ClassVar = {"test_changes_the_request_and_returns_nothing"}


class BrokenFields(Case):
    """It replaces the parameters of the grant."""

    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            request.fields = {"key": self.key}

    fails: ClassVar = {"test_changes_the_request_and_returns_nothing"}


class BrokenEncoding(Case):
    """It lists its secret, but not in the encoding that it sends."""

    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            pair = base64.b64encode(f"{self.client_id}:{self.key}".encode()).decode()
            request.headers["Authorization"] = f"Basic {pair}"

    fails: ClassVar = {"test_secrets_lists_every_secret_that_is_sent"}


class BrokenSecondSend(Case):
    """It authenticates only the first request."""

    class Kind(ApiKey):
        sent = False

        def authenticate(self, request: OutgoingRequest) -> Any:
            if not self.sent:
                request.headers["X-Api-Key"] = self.key
            self.sent = True

    fails: ClassVar = {"test_authenticates_each_send"}


class BrokenThreads(Case):
    """It keeps the request in an attribute."""

    class Kind(ApiKey):
        request: OutgoingRequest

        def authenticate(self, request: OutgoingRequest) -> Any:
            self.request = request
            time.sleep(0.001)
            self.request.headers["X-Api-Key"] = self.key

    fails: ClassVar = {"test_threads_share_it"}


class BrokenRedaction(Case):
    """It does not list the secret that it sends."""

    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            request.headers["X-Api-Key"] = self.key

        def secrets(self) -> Any:
            return (self.key,) if time.monotonic() < 0 else ()

    fails: ClassVar = {"test_secrets_lists_every_secret_that_is_sent"}


class BrokenError(Case):
    """Its error for a rejected request shows the secret."""

    class Kind(ApiKey):
        def authenticate(self, request: OutgoingRequest) -> Any:
            request.headers["X-Api-Key"] = self.key
            request.learn = self.learn

        def learn(self, response: Any) -> bool:
            raise ValueError(f"The server rejected {self.key}.")

    fails: ClassVar = {"test_errors_show_no_secret_that_the_provider_repeats"}
