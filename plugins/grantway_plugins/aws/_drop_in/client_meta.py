"""``client.meta``, and the events that botocore's tools such as ``Stubber`` listen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._types.grant import Params
from grantway_plugins.aws._config.regions import regions

from .exceptions import from_response
from .model import API_VERSION, OPERATIONS, Operation

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.hooks import HierarchicalEmitter
    from botocore.model import ServiceModel

    from .client_config import ClientConfig

_FAILED = 300
_SERVICE = "sso-oidc"
#: The events that a call emits. The others belong to parts of botocore that are not used.
EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "after-call",
    "after-call-error",
)


class ClientMeta:
    """What a client says about itself, as ``client.meta`` of boto3.

    ``events``, ``service_model`` and ``config`` are botocore's, which is imported when one of them
    is first asked for.

    Attributes:
        region_name: The client's region.
        endpoint_url: The address of the service.
        partition: The region's partition, such as ``aws``.
        method_to_api_mapping: Method -> AWS's name of the operation.
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
        """The client's events. Registering for one that is never emitted is refused."""
        from botocore.hooks import HierarchicalEmitter  # noqa: PLC0415 - only where it is asked for

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
        """The events, if anybody has asked for them."""
        return self.__dict__.get("events")

    @cached_property
    def service_model(self) -> ServiceModel:
        """Botocore's model of the service."""
        from botocore.loaders import Loader  # noqa: PLC0415 - only where it is asked for
        from botocore.model import ServiceModel  # noqa: PLC0415

        described = Loader().load_service_model(_SERVICE, "service-2", API_VERSION)
        return ServiceModel(described, service_name=_SERVICE)

    @cached_property
    def config(self) -> Config:
        """The ``config`` that was given, with the retries that are in force."""
        from botocore.config import Config  # noqa: PLC0415 - only where it is asked for

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
            f"event_name: {event_name} is not emitted by this client, which emits "
            f"{', '.join(EVENTS)}. Use boto3's client if you need it."
        )
    return event_name


class CallEvents:
    """The events of one call.

    Args:
        meta: The client's.
        events: Its emitter.
        operation: The operation that is called.
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
        answers = self._emit("provide-client-params", params=params)
        params = next((answer for _, answer in answers if answer is not None), params)
        self._emit("before-parameter-build", params=params)
        return params

    def request(
        self, params: Mapping[str, Any], request: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        """Let handlers add headers to the request, or answer it instead of the service.

        Args:
            params: The parameters.
            request: The request as botocore describes it.

        Returns:
            A handler's HTTP response and the parsed one, or None to ask the service.

        Raises:
            ConfigurationError: a handler changed something else than headers.
        """
        self._emitter.emit(
            f"before-endpoint-resolution.{_SERVICE}",
            builtins={"AWS::Region": self._meta.region_name},
            model=self._model,
            params=params,
            context=self._context,
        )
        before = Params({name: request[name] for name in ("url", "method", "body", "query_string")})
        _, answer = self._emitter.emit_until_response(
            f"before-call.{self._name}",
            model=self._model,
            params=request,
            request_signer=None,
            context=self._context,
        )
        changed = [name for name in before if request[name] != before[name]]
        if changed:
            raise ConfigurationError(
                f"before-call: a handler changed {', '.join(changed)} of the request; this client "
                "lets it change headers, or give the response."
            )
        return answer  # type: ignore[no-any-return]

    def stubbed(self, http: Any, parsed: dict[str, Any]) -> dict[str, Any]:
        """Return a handler's response, or raise the error that it is."""
        self._answered(http, parsed)
        if http.status_code >= _FAILED:
            raise from_response(parsed, self._operation.name)
        return parsed

    def answered(self, parsed: dict[str, Any]) -> None:
        """Tell handlers about an answer of the service."""
        about = parsed["ResponseMetadata"]
        http = SimpleNamespace(status_code=about["HTTPStatusCode"], headers=about["HTTPHeaders"])
        self._answered(http, parsed)

    def failed(self, error: Exception) -> None:
        """Tell handlers about a call that brought no answer, or an error of the service."""
        self._emitter.emit(f"after-call-error.{self._name}", exception=error, context=self._context)

    def _answered(self, http: Any, parsed: dict[str, Any]) -> None:
        self._emit("after-call", http_response=http, parsed=parsed)

    def _emit(self, event: str, **details: Any) -> list[tuple[Callable[..., Any], Any]]:
        found: list[tuple[Callable[..., Any], Any]] = self._emitter.emit(
            f"{event}.{self._name}", model=self._model, context=self._context, **details
        )
        return found
