"""The contract of login flows: how ``grantway login`` works with a grant that needs the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params

if TYPE_CHECKING:
    from grantway._types.token import Token

    from .client import Client


class LoginScreen(Protocol):
    """The terminal of a login. Control characters are removed from everything that it shows."""

    @property
    def interactive(self) -> bool:
        """Whether a user can answer. Otherwise answers are read from standard input."""
        ...

    def say(self, text: str) -> None:
        """Print a line."""
        ...

    def ask(self, question: str) -> str:
        """Return the user's answer, which is not empty.

        Raises:
            click.ClickException: The input ended.
        """
        ...

    def ask_secret(self, question: str) -> str:
        """Return the user's answer without showing it on the screen.

        Only the spaces around it are removed.

        Raises:
            click.ClickException: The input ended.
        """
        ...

    def show_address(self, url: str) -> None:
        """Show an address that the user must open; in a terminal also as a QR code."""
        ...

    def open_browser(self, url: str) -> None:
        """Open an http or https address in the browser of this machine.

        Prints that no browser could be opened if that is so.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoginContext(OneProcess):
    """The profile and the terminal of a login.

    Attributes:
        client: The client of the profile.
        grant_type: The grant of the profile.
        screen: The terminal.
        params: The profile's ``params``, by the names of ``create_token``. The value of one from a
            secret source is a function that returns it.
        scope: The profile's ``scope``, or None.
        resource: The profile's ``resource``, or None.
        extra: The profile's ``extra``: provider-specific parameters.
    """

    stays = "it has a terminal; use it in the process that created it"

    client: Client
    grant_type: str
    screen: LoginScreen
    params: Mapping[str, Any] = field(default_factory=Params)
    scope: tuple[str, ...] | None = None
    resource: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=Params)

    def request(self, **params: Any) -> Token:
        """Request a token with the grant, all parameters of the profile and these.

        Args:
            **params: Further parameters of the grant. They replace those of the profile.

        Raises:
            GrantwayError: As for ``Client.create_token``.
        """
        names = self.client.registry.grant(self.grant_type).names
        merged, extra = Params({**self.params, **Params(params)}), Params(self.extra)
        del params
        for name, value in (("scope", self.scope), ("resource", self.resource)):
            if value:
                known = name in names.wire.values()
                (merged if known else extra).setdefault(name, value)
        return self.client.create_token(
            grant_type=self.grant_type, extra=extra, **names.to_arguments(merged)
        )


#: Logs the user in, and returns the token.
LoginFlow = Callable[[LoginContext], "Token"]
