"""A common interface for AWS's clients, so that one test covers all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.interop.aws_js import AwsJsClient, AwsJsError

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """An error response, as raised by a client.

    Attributes:
        exception: Name of the exception class, which the client must export.
        error: OAuth error code.
        description: OAuth error description.
        status: HTTP status.
    """

    exception: str
    error: str | None
    description: str | None
    status: int | None


class AwsClient(Protocol):
    """A client with three operations, named as in boto3."""

    def register_client(self, **parameters: Any) -> Answer: ...
    def start_device_authorization(self, **parameters: Any) -> Answer: ...
    def create_token(self, **parameters: Any) -> Answer: ...
    def parse_error(self, error: Exception) -> Rejection:
        """Return the rejection in an exception of this client; re-raise any other exception."""
        ...


class BotoClient:
    """A client with boto3's interface: boto3's, or grantway's drop-in.

    Args:
        client: Result of ``boto3.client("sso-oidc")`` or its equivalent.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def register_client(self, **parameters: Any) -> Answer:
        return self._client.register_client(**parameters)

    def start_device_authorization(self, **parameters: Any) -> Answer:
        return self._client.start_device_authorization(**parameters)

    def create_token(self, **parameters: Any) -> Answer:
        return self._client.create_token(**parameters)

    def parse_error(self, error: Exception) -> Rejection:
        if not isinstance(error, self._client.exceptions.ClientError):
            raise error
        response = error.response
        name = response["Error"]["Code"]
        # Callers can name this class in an except clause.
        assert type(error).__name__ == name
        assert isinstance(error, getattr(self._client.exceptions, name))
        return Rejection(
            exception=name,
            error=response.get("error"),
            description=response.get("error_description"),
            status=response["ResponseMetadata"]["HTTPStatusCode"],
        )


class JsClient:
    """The AWS SDK for JavaScript.

    Args:
        client: The Node process.
        endpoint: Address of the service.
    """

    def __init__(self, client: AwsJsClient, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint

    def register_client(self, **parameters: Any) -> Answer:
        return self._client.call("RegisterClient", parameters, endpoint=self._endpoint)

    def start_device_authorization(self, **parameters: Any) -> Answer:
        return self._client.call("StartDeviceAuthorization", parameters, endpoint=self._endpoint)

    def create_token(self, **parameters: Any) -> Answer:
        return self._client.call("CreateToken", parameters, endpoint=self._endpoint)

    def parse_error(self, error: Exception) -> Rejection:
        if not isinstance(error, AwsJsError) or error.status is None:
            raise error
        assert error.is_instance, error
        assert error.class_name == error.name
        return Rejection(
            exception=error.name,
            error=error.error,
            description=error.error_description,
            status=error.status,
        )


def rejection(aws: AwsClient, call: Callable[..., Answer], **parameters: Any) -> Rejection:
    """Make a call that the service must reject, and return the rejection."""
    try:
        received = call(**parameters)
    except Exception as error:  # noqa: BLE001 - `parse_error` re-raises other errors
        return aws.parse_error(error)
    raise AssertionError(f"expected an error, got a response with {sorted(received)}")
