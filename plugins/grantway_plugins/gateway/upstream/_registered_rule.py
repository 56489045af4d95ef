"""Tenant rules of plugins, whose errors name the plugin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import PluginError
from grantway._log import logger
from grantway._secrets.params import Params
from grantway._types.callables import is_unfinished

from ._rejection import RequestRejectedError
from ._request_context import RequestContext


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredRule:
    """A tenant rule that a plugin registered.

    Attributes:
        name: Name of the rule.
        plugin: The plugin, for errors.
        options: Options of the rule in the gateway's file.
        rule: The function of the plugin.
        reported: The problems that have been logged, each once.
    """

    name: str
    plugin: str
    options: Params
    rule: Callable[[Any], str]
    reported: set[str] = field(default_factory=set)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegisteredRule) and (
            (self.name, self.plugin, self.options) == (other.name, other.plugin, other.options)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.plugin))

    def __call__(self, request: RequestContext) -> str:
        """Return the tenant of a request.

        Raises:
            RequestRejectedError: The rule rejects the request.
            PluginError: The rule raised another exception, or is asynchronous.
        """
        try:
            tenant = self.rule(request)
        except RequestRejectedError:
            raise
        except Exception as error:
            raise self._failed(f"raised {type(error).__name__}") from error
        if is_unfinished(tenant):
            raise self._failed("is asynchronous; make it a plain function")
        return tenant

    def _failed(self, problem: str) -> PluginError:
        message = f"The tenant rule {self.name!r} of the plugin {self.plugin} {problem}"
        if problem not in self.reported:
            self.reported.add(problem)
            logger.warning("%s; requests of the route get a 503.", message)
        return PluginError(message, plugin=self.plugin)
