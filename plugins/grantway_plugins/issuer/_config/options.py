"""The options of ``grantway serve``: those of its command line and of its file together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway_plugins._config.toml_file import KeyPath, dotted
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._http.exposure import resolve_settings
from grantway_plugins.issuer._keys.opening import check_library
from grantway_plugins.issuer._lifetimes import Lifetimes
from grantway_plugins.issuer._metrics_listener import check_metrics_library
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._tls.certificate import server_certificate

from .issuer_file import IssuerFile
from .table import Part

T = TypeVar("T")
_EXPOSURE = ("host", "trusted_proxies", "insecure_http")
#: Arguments that messages about other arguments name.
_NAMED = ("insecure_http", "tls_certificate", "tls_key", "trusted_proxies")
_TOKEN_MODE = 'registration.mode = "token"'
_PARTS: tuple[Part, ...] = ("settings", "server", "limits", "lifetimes")


class Options(OneProcess):
    """Options of an issuer, by part and name. Those of the command line override the file's.

    Args:
        flags: Options given on the command line.
        flag_of: Returns the name of an option on the command line, for errors.
        file: The configuration file, or None.
    """

    stays = "it may hold secrets; read them in the process that uses them"

    def __init__(
        self,
        flags: Mapping[Part, Mapping[str, Any]],
        flag_of: Callable[[Part, str], str],
        file: IssuerFile | None = None,
    ) -> None:
        self._flags, self._flag_of, self._file = flags, flag_of, file
        self._problems: list[str] = []

    def of(self, part: Part) -> Params:
        """Return the options of a part."""
        own = {} if self._file is None else self._file.options.get(part, {})
        return Params({**own, **self._flags.get(part, {})})

    def build(self) -> tuple[IssuerSettings, Params]:
        """Return the settings, and the other arguments of ``serve``.

        Raises:
            ConfigurationError: Options are invalid. Lists all of them, with the name of the flag or
                with file and line.
        """
        if self._file is not None:
            self._file.read()
        lifetimes = self._built("lifetimes", Lifetimes)
        limits = self._built("limits", Limits)
        settings = self._built("settings", IssuerSettings, lifetimes=lifetimes)
        mistakes = [] if self._file is None else self._file.mistakes
        if mistakes or self._problems or settings is None:
            found = [] if self._file is None else [str(self._file.toml.wrong(mistakes))]
            raise ConfigurationError("\n".join([*found, *self._problems]).strip())
        server = self.of("server")
        exposed = {name: server[name] for name in _EXPOSURE if name in server}
        host = exposed.pop("host", "127.0.0.1")
        try:
            tls = server_certificate(server.get("tls_certificate"), server.get("tls_key"))
            resolved = resolve_settings(host, settings, **exposed, tls=tls is not None)
            Issuer.of(default_registry(), resolved)
            check_library(resolved)
            if server.get("metrics_port") is not None:
                check_metrics_library()
        except ConfigurationError as error:
            raise self.explained(error) from None
        return settings, Params({**server, "limits": limits})

    def explained(self, error: ConfigurationError) -> ConfigurationError:
        """Return an error of the issuer with the place of each option that it names."""
        rules = [
            self._named(self._part(name), name, rule)
            for name, found in error.errors.items()
            for rule in found
        ]
        shown = "; ".join(rules)
        if _says_only(error):
            return ConfigurationError(shown)
        message = self._in_terms_of_file(error.message)
        return ConfigurationError(f"{message} ({shown})" if rules else message)

    def _built(self, part: Part, make: Callable[..., T], **more: Any) -> T | None:
        """Create an object. Without its invalid options, to find all of them."""
        options = Params({**self.of(part), **{n: v for n, v in more.items() if v is not None}})
        while True:
            try:
                return make(**options)
            except ConfigurationError as error:
                invalid = error.errors
            for name, rules in invalid.items():
                self._note(part, name, rules)
            # A missing option is required because of another one in its table.
            tables = {self._place(part, name)[:1] for name in invalid.keys() - options.keys()}
            broken = {name for name in options if self._place(part, name)[:1] in tables}
            broken |= invalid.keys() & options.keys()
            if not broken:
                return None
            for name in broken:
                del options[name]

    def _note(self, part: Part, name: str, rules: Iterable[str]) -> None:
        at = self._place(part, name)
        for rule in map(self._in_terms_of_file, rules):
            if self._file is None or not at:
                self._problems.append(f"{self._flag_of(part, name)} {rule}")
            elif all(known[: len(at)] != at for known, _ in self._file.mistakes):
                self._file.mistakes.append((at, rule))

    def _named(self, part: Part, name: str, rule: str) -> str:
        at, rule = self._place(part, name), self._in_terms_of_file(rule)
        if self._file is None or not at:
            return f"{self._flag_of(part, name)} {rule}"
        return str(self._file.toml.wrong([(at, rule)]))

    def _in_terms_of_file(self, text: str) -> str:
        """Return a message with names of keys, or of flags, instead of arguments."""
        for name in _NAMED:
            at = self._place("server", name)
            text = text.replace(name, dotted(at) if at else self._flag_of("server", name))
        return text if self._file is None else text.replace('registration="token"', _TOKEN_MODE)

    def _part(self, name: str) -> Part:
        """Return the part with an option of this name, by default the settings."""
        for part in _PARTS:
            if name in self.of(part):
                return part
        for part in _PARTS:
            if self._place(part, name):
                return part
        return "settings"

    def _place(self, part: Part, name: str) -> KeyPath:
        """Return the path of the key that sets an option; empty if a flag sets it."""
        if self._file is None or name in self._flags.get(part, {}):
            return ()
        return self._file.place(part, name)


def _says_only(error: ConfigurationError) -> bool:
    """Return whether the message is only a rule, and perhaps the name of its option."""
    found = [(name, rule) for name, rules in error.errors.items() for rule in rules]
    if len(found) != 1:
        return False
    name, rule = found[0]
    message = error.message.removeprefix(name).removeprefix(":").strip()
    return message.rstrip(".") == rule.rstrip(".")
