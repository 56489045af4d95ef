"""Parameters that are computed for each send, such as a nonce or a signature."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from grantway._exceptions import CredentialError, GrantwayError, RequestInvalidError
from grantway._secrets.params import Params
from grantway._types.callables import computed_names, is_async, is_unfinished

if TYPE_CHECKING:
    from .cached_source import CachedSource

#: Settings and the secret sources that supply their values.
Sources = tuple[tuple[str, "CachedSource"], ...]

_RAISED_BY = "Raised by the function that computes the parameter {}."


def hidden_params(given: Mapping[str, Any] | None) -> Params:
    """Return parameters whose repr shows no values, with cached sources in place of sources."""
    params = Params(given or {})
    for name, value in params.items():
        if type(value) is not str and hasattr(value, "read"):
            from .cached_source import cached  # noqa: PLC0415 - few calls have a source

            params[name] = cached(value, name)
    return params


def sources_in(params: Any) -> Sources:
    """Return the sources among parameters, by name."""
    if not params or not isinstance(params, (dict, Mapping)):  # rejected later
        return ()
    found = [
        (name, cast("CachedSource", value))
        for name, value in params.items()
        if callable(value) and hasattr(value, "read")
    ]
    return tuple(found)


def sources_for_call(params: Mapping[str, Any]) -> Params:
    """Return the parameters of one call, with its own sources of single-use values."""
    own = Params(params)
    own.update((name, source.for_call()) for name, source in sources_in(params))
    return own


class ComputedParams:
    """Parameters of which at least one is a function.

    Args:
        given: Names to values and functions.
        load: Checks the values and returns the parameters to send.

    Attributes:
        sources: The functions that are secret sources, by name.

    Raises:
        RequestInvalidError: a function is asynchronous.
    """

    def __init__(self, given: Mapping[str, Any], load: Callable[[Params], Params]) -> None:
        self._given = given
        self.sources = sources_in(given)
        self._load = load
        for name in computed_names(given):
            if is_async(given[name]):
                raise _not_computed(name, "is asynchronous (async def); give a plain function")
        self._last: Params = self._compute()
        self._sent = False

    @property
    def first(self) -> Params:
        """A copy of the parameters of the first send, which the call may change."""
        return copy.copy(self._last)

    def recompute(self, params: Params) -> None:
        """Compute the parameters for the next send, and keep the changes that middleware made.

        Args:
            params: The call's parameters, updated in place.

        Raises:
            RequestInvalidError: a function returned an invalid value, or raised an error about
                another request.
            CredentialError: raised by a function, such as ``LoginNeededError``.
            Exception: raised by a function; a note names the parameter.
        """
        if not self._sent:
            self._sent = True  # computed when the call began
            return
        try:
            fresh, last = self._compute(), self._last
        except RequestInvalidError as invalid:
            again = invalid.message.replace("Nothing was sent", "The request was not sent again", 1)
            invalid.message, invalid.args = again, (again,)
            raise
        for name in last.keys() - fresh.keys():
            params.pop(name, None)
        params.update(
            (name, value)
            for name, value in fresh.items()
            if name not in last or last[name] != value
        )
        params.extra_secrets = fresh.extra_secrets
        self._last = fresh

    def _compute(self) -> Params:
        values = compute(self._given)
        loaded = self._load(values)
        loaded.extra_secrets += tuple(values[name] for name, _ in self.sources)
        return loaded


def compute(params: Mapping[str, Any]) -> Params:
    """Return the parameters with each function replaced by its result.

    Raises:
        RequestInvalidError: a function is asynchronous, or raised an error about another request.
        CredentialError: raised by a function.
        Exception: raised by a function; a note names the parameter.
    """
    return Params(
        {
            name: _compute(name, value) if callable(value) else value
            for name, value in params.items()
        }
    )


def _compute(name: str, function: Callable[[], Any]) -> Any:
    try:
        value = function()
    except CredentialError as error:
        # Callers handle these, for example by a login. A token in it belongs to another request.
        named = copy.copy(error)
        vars(named).update(token=None, __notes__=[*getattr(error, "__notes__", ())])
        named.add_note(_RAISED_BY.format(name))
        raise named from error
    except GrantwayError as error:
        # The error is about another request and must not look like the outcome of this one.
        why = f"raised {type(error).__name__}: {error.message}"
        raise _not_computed(name, why) from error
    except BaseException as error:
        error.add_note(_RAISED_BY.format(name))
        raise
    if is_unfinished(value):
        raise _not_computed(name, "is asynchronous; give a plain function")
    return value


def _not_computed(name: str, why: str) -> RequestInvalidError:
    rule = f"could not be computed: its function {why}"
    return RequestInvalidError(f"Nothing was sent: {name} {rule}", errors={name: [rule]})
