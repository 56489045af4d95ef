"""AWS's own clients behind one face, so that one test body asks them all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.interop.aws_js import AwsJsClient, AwsJsError

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client raised.

    Attributes:
        exception: The name of its class, once the client was seen to know that class.
        error: The OAuth code that the exception carries.
        description: The text that the exception carries.
        status: HTTP status.
    """

    exception: str
    error: str | None
    description: str | None
    status: int | None


class AwsClient(Protocol):
    """The three operations, by the names that boto3 gives them."""

    def register_client(self, **parameters: Any) -> Answer: ...
    def start_device_authorization(self, **parameters: Any) -> Answer: ...
    def create_token(self, **parameters: Any) -> Answer: ...
    def judged(self, error: Exception) -> Refusal:
        """Read an exception of this client; any other is raised again."""
        ...


class BotoClient:
    """A client with boto3's face: boto3's own, or one that says it is a drop-in for it.

    Args:
        client: What ``boto3.client("sso-oidc")`` gives.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def register_client(self, **parameters: Any) -> Answer:
        return self._client.register_client(**parameters)

    def start_device_authorization(self, **parameters: Any) -> Answer:
        return self._client.start_device_authorization(**parameters)

    def create_token(self, **parameters: Any) -> Answer:
        return self._client.create_token(**parameters)

    def judged(self, error: Exception) -> Refusal:
        if not isinstance(error, self._client.exceptions.ClientError):
            raise error
        response = error.response
        name = response["Error"]["Code"]
        # The class that a caller can name in an except clause, or there is none.
        assert type(error).__name__ == name
        assert isinstance(error, getattr(self._client.exceptions, name))
        return Refusal(
            exception=name,
            error=response.get("error"),
            description=response.get("error_description"),
            status=response["ResponseMetadata"]["HTTPStatusCode"],
        )


class JsClient:
    """The AWS SDK for JavaScript.

    Args:
        client: The Node process.
        endpoint: The service to ask.
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

    def judged(self, error: Exception) -> Refusal:
        if not isinstance(error, AwsJsError) or error.status is None:
            raise error
        assert error.is_instance, error
        assert error.class_name == error.name
        return Refusal(
            exception=error.name,
            error=error.error,
            description=error.error_description,
            status=error.status,
        )


def refusal(aws: AwsClient, call: Callable[..., Answer], **parameters: Any) -> Refusal:
    """Make a call that the service must refuse, and say how the client told it."""
    try:
        answer = call(**parameters)
    except Exception as error:  # noqa: BLE001 - `judged` raises what is not the client's own
        return aws.judged(error)
    raise AssertionError(f"was not refused, but answered with {sorted(answer)}")
