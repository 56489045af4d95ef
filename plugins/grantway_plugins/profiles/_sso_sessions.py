"""``[sso_sessions.NAME]``: login and network settings of a session of ``~/.aws/config``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grantway._secrets.params import Params
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import SsoSessionTable
from grantway_plugins._paths import config_path

from ._file import ProfileFile

if TYPE_CHECKING:
    from grantway._transport.transport import HttpTransport


class SsoSessionSettings:
    """The settings of one session, or the defaults if there is no profile file.

    Args:
        name: Name of the session.
        path: Path of the profile file, as for ``ProfileFile``.

    Attributes:
        table: Login and network settings, validated.

    Raises:
        ConfigurationError: A setting is invalid; names file and line.
    """

    def __init__(self, name: str, path: str | Path | None = None) -> None:
        self._name = name
        self._file: ProfileFile | None = None
        if path is None and not Path(config_path(None)).exists():
            self.table = Params(cast("dict[str, Any]", SsoSessionTable().load({})))
        else:
            self._file = ProfileFile(path)
            self.table = self._file.sso_session(name)

    def transport(self, timeout: float, trust: Mapping[str, Any]) -> HttpTransport | None:
        """Return a transport with the network settings of the file, or None without a file.

        Args:
            timeout: Timeout of one call in seconds.
            trust: Trusted certificates of AWS's settings; used if the file sets none.

        Raises:
            ConfigurationError: Settings are unusable. The message lists all of them, with file,
                line and key, or names the environment variable.
        """
        if self._file is None:
            return None
        settings = NetworkSettings(
            Components(self._file.toml),
            self.table,
            ("sso_sessions", self._name),
            self._file.network,
        )
        return settings.transport(timeout, trust)
