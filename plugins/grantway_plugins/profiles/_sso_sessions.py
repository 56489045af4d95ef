"""``[sso_sessions.NAME]``: login and network settings of a session of ``~/.aws/config``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grantway._types.grant import Params
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import SsoSessionTable

from ._file import ProfileFile
from ._paths import config_path

if TYPE_CHECKING:
    from grantway._transport.transport import RequestsTransport


class SsoSessionSettings:
    """The settings of one session; the defaults if there is no file.

    Args:
        name: The session's name.
        path: The file of the profiles, as for ``ProfileFile``.

    Raises:
        ConfigurationError: a setting is wrong; names file and line.
    """

    def __init__(self, name: str, path: str | Path | None = None) -> None:
        self._name = name
        self._file: ProfileFile | None = None
        if path is None and not Path(config_path(None)).exists():
            #: How to log in.
            self.table = Params(cast("dict[str, Any]", SsoSessionTable().load({})))
        else:
            self._file = ProfileFile(path)
            self.table = self._file.sso_session(name)

    def transport(self, timeout: float, trust: Mapping[str, Any]) -> RequestsTransport | None:
        """Return a transport with the network settings of the file; None without a file.

        Args:
            timeout: Seconds for one call.
            trust: The certificates that AWS's own settings trust, if the file names none.

        Raises:
            ConfigurationError: a setting cannot work; names file, line and key, or the variable.
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
