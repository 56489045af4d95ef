"""``client.meta``, and the events that botocore tools such as ``Stubber`` use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params
from grantway_plugins.aws._config.regions import regions

from .exceptions import stubbed_error
from .model import API_VERSION, OPERATIONS, Operation

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.hooks import HierarchicalEmitter
    from botocore.model import ServiceModel

    from .client_config import ClientConfig

_FAILED = 300
_SERVICE = "sso-oidc"
#: Events that a call emits. botocore's other events belong to parts that grantway does not use.
EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "after-call",
    "after-call-error",
)


class ClientMeta:
    """The attributes of boto3's ``client.meta``.

    ``events``, ``service_model`` and ``config`` are botocore objects. botocore is imported when one
    of them is first read.

    Attributes:
        region_name: AWS region.
        endpoint_url: Address of the service.
        partition: Partition of the region, such as ``aws``.
        method_to_api_mapping: AWS's name of the operation for each method.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.region_name = config.region_name
        self.endpoint_url = config.endpoint_url
        partition = regions().get(config.region_name)
        self.partition = "aws" if partition is None else partition.name
        self.method_to_api_mapping = {one.method: one.name for one in OPERATIONS}
        self._config = config

    @cached_property
    def events(self) -> HierarchicalEmitter:
        """The client's events. Registering for an event that is never emitted raises an error."""
        from botocore.hooks import HierarchicalEmitter  # noqa: PLC0415 - an extra

        class Emitter(HierarchicalEmitter):  # type: ignore[misc]
            def register(self, event_name: str, *args: Any, **options: Any) -> None:
                super().register(_emitted(event_name), *args, **options)

            def register_first(self, event_name: str, *args: Any, **options: Any) -> None:
                super().register_first(_emitted(event_name), *args, **options)

            def register_last(self, event_name: str, *args: Any, **options: Any) -> None:
                super().register_last(_emitted(event_name), *args, **options)

        return Emitter()

    @property
    def listening(self) -> HierarchicalEmitter | None:
        """The events if they have been used, or None."""
        return self.__dict__.get("events")

    @cached_property
    def service_model(self) -> ServiceModel:
        """Botocore's model of the service."""
        from botocore.loaders import Loader  # noqa: PLC0415 - an extra
        from botocore.model import ServiceModel  # noqa: PLC0415

        described = Loader().load_service_model(_SERVICE, "service-2", API_VERSION)
        return ServiceModel(described, service_name=_SERVICE)

    @cached_property
    def config(self) -> Config:
        """The ``config`` of the client, with the timeouts and retries in use."""
        from botocore.config import Config  # noqa: PLC0415 - an extra

        ours = Config(
            region_name=self.region_name,
            connect_timeout=self._config.connect_timeout,
            read_timeout=self._config.read_timeout,
            retries={"total_max_attempts": self._config.attempts, "mode": "standard"},
        )
        given = self._config.given
        return ours if given is None else given.merge(ours)


def _emitted(event_name: str) -> str:
    kind = event_name.split(".", 1)[0]
    if kind not in EVENTS and kind != "*":
        raise ConfigurationError(
            f"event_name: this client does not emit {event_name}. It emits {', '.join(EVENTS)}. "
            "Use boto3's client for other events."
        )
    return event_name


class CallEvents:
    """The events of one call.

    Args:
        meta: Metadata of the client.
        events: Emitter of the client.
        operation: Operation to call.
    """

    def __init__(self, meta: ClientMeta, events: HierarchicalEmitter, operation: Operation) -> None:
        self._meta = meta
        self._emitter = events
        self._name = f"{_SERVICE}.{operation.name}"
        self._operation = operation
        self._model = meta.service_model.operation_model(operation.name)
        self._context: dict[str, Any] = {
            "client_region": meta.region_name,
            "client_config": meta.config,
        }

    def parameters(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let handlers change the parameters."""
        results = self._emit("provide-client-params", params=params)
        params = next((result for _, result in results if result is not None), params)
        self._emit("before-parameter-build", params=params)
        return params

    def request(
        self, params: Mapping[str, Any], request: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        """Let handlers add headers to the request, or provide a response instead of sending it.

        Args:
            params: Parameters of the call.
            request: The request in botocore's form.

        Returns:
            HTTP response and parsed response of a handler, or None to send the request.

        Raises:
            ConfigurationError: A handler changed something other than headers.
        """
        self._emitter.emit(
            f"before-endpoint-resolution.{_SERVICE}",
            builtins={"AWS::Region": self._meta.region_name},
            model=self._model,
            params=params,
            context=self._context,
        )
        before = Params({name: request[name] for name in ("url", "method", "body", "query_string")})
        _, response = self._emitter.emit_until_response(
            f"before-call.{self._name}",
            model=self._model,
            params=request,
            request_signer=None,
            context=self._context,
        )
        changed = [name for name in before if request[name] != before[name]]
        if changed:
            raise ConfigurationError(
                f"before-call: a handler changed {', '.join(changed)} of the request; with this "
                "client, handlers may only change headers or return a response."
            )
        return response  # type: ignore[no-any-return]

    def stubbed(self, http: Any, parsed: dict[str, Any]) -> dict[str, Any]:
        """Return the response of a handler, or raise its error."""
        self._emit_after_call(http, parsed)
        if http.status_code >= _FAILED:
            raise stubbed_error(parsed, self._operation.name)
        return parsed

    def succeeded(self, parsed: dict[str, Any]) -> None:
        """Notify handlers of a successful call."""
        metadata = parsed["ResponseMetadata"]
        http = SimpleNamespace(
            status_code=metadata["HTTPStatusCode"], headers=metadata["HTTPHeaders"]
        )
        self._emit_after_call(http, parsed)

    def failed(self, error: Exception) -> None:
        """Notify handlers of a failed call."""
        self._emitter.emit(f"after-call-error.{self._name}", exception=error, context=self._context)

    def _emit_after_call(self, http: Any, parsed: dict[str, Any]) -> None:
        self._emit("after-call", http_response=http, parsed=parsed)

    def _emit(self, event: str, **details: Any) -> list[tuple[Callable[..., Any], Any]]:
        found: list[tuple[Callable[..., Any], Any]] = self._emitter.emit(
            f"{event}.{self._name}", model=self._model, context=self._context, **details
        )
        return found
