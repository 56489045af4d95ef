"""Check the grant of a profile, and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import RequestInvalidError, UnknownGrantTypeError
from grantway._secrets.params import Params
from grantway_plugins._config.components import Components

from ._parameter_rule import parameter_rule
from ._programs import is_text

if TYPE_CHECKING:
    from ._profile import Profile


def check_grant(profile: Profile, components: Components) -> None:
    """Reject an unknown grant and invalid parameters.

    Raises:
        ConfigurationError: The message gives file, line and rule of every mistake.
    """
    at = ("profiles", profile.name)
    name = profile.grant or profile.login_grant
    if name is None:
        return
    mistakes = list[tuple[tuple[str, ...], str]]()
    # Outside the try block: its errors have lines already.
    components.params(profile.table.get("params", {}), (*at, "params"))
    try:
        grant = profile.programs.grant(name)
        given, extra = profile.parameters(grant)
        mistakes += [
            ((*at, "params", name), "must be text, or a list of texts")
            for name in profile.table.get("params", {}).keys() & extra.keys()
            if not callable(extra[name]) and not is_text(extra[name])
        ]
        # Single-use parameters, such as a refresh token, may be added later.
        single_use = grant.names.all_of(grant.single_use) | (
            {name} if name == "refresh_token" else set()
        )
        constant = Params({n: value for n, value in given.items() if not callable(value)})
        partial = profile.login_grant is not None or bool(single_use - given.keys())
        grant.load(constant, partial=partial or len(constant) < len(given))
    except UnknownGrantTypeError as error:
        mistakes = [((*at, "grant"), str(error).removeprefix("grant_type: ").rstrip("."))]
    except RequestInvalidError as error:
        for field, rules in error.errors.items():
            key = (field,) if field in profile.table else ("params", field)
            mistakes += [((*at, *key), parameter_rule(rule)) for rule in rules]
    if mistakes:
        raise profile.file.toml.wrong(mistakes)
