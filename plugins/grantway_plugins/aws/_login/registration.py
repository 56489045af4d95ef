"""How a client of a login registers, and the file in which the AWS CLI remembers that it did."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from grantway._exceptions import Evidence, ResponseInvalidError
from grantway._secrets.masked import Masked
from grantway_plugins.aws._cache.times import read_time, write_time

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway_plugins.aws._cache.store import AwsCliStore
    from grantway_plugins.aws._config.sso_config import SsoConfig

_log = logging.getLogger("grantway")

#: How the person logs in: each way has its own kind of registration, as the AWS CLI has it.
Way = Literal["device", "browser"]

#: What the AWS CLI registers: the port is chosen at each login (RFC 8252 section 7.3).
REDIRECT_URI = "http://127.0.0.1/oauth/callback"
_CODE = "authorization_code"
_BROWSER_GRANTS = (_CODE, "refresh_token")
#: What a login in a browser asks for where the configuration says nothing.
_DEFAULT_SCOPES = ("sso:account:access",)
#: Seconds that a registration must have left to begin a login with.
_LEAST = 60.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A client that the service knows.

    Attributes:
        client_id: Its name.
        client_secret: Its secret.
        expires_at: Unix time at which it ends, and with it every refresh token that it was given.
    """

    client_id: str
    client_secret: str = field(repr=False)
    expires_at: float

    def fields(self) -> dict[str, str]:
        """The registration as it stands beside a token in the cache."""
        return {
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "registrationExpiresAt": write_time(self.expires_at),
        }


class RegistrationCache:
    """One login's registration, shared with the AWS CLI.

    Args:
        store: The AWS CLI's cache.
        config: The login.
    """

    def __init__(self, store: AwsCliStore, config: SsoConfig) -> None:
        self._store = store
        self._config = config
        facts = {
            "tool": "botocore",
            "startUrl": config.start_url,
            "region": config.region,
            "scopes": None if config.scopes is None else list(config.scopes),
            "session_name": config.name,
        }
        name = hashlib.sha1(  # noqa: S324 - the AWS CLI's rule for a file's name, not a safeguard
            json.dumps(facts, sort_keys=True).encode()
        ).hexdigest()
        #: Where it lies.
        self.path = store.folder / f"{name}.json"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a login in a browser registers for, and asks for."""
        return self._config.scopes or _DEFAULT_SCOPES

    def load(self, way: Way) -> Registration | None:
        """Return the registration, or None unless it is for this way and lasts for a login.

        One file holds either kind, and its grants show which. A file in an unknown format
        counts as none, since registering again does no harm.
        """
        fields = self._store.read(self.path).value or {}
        grants = fields.get("grantTypes")
        if (isinstance(grants, list) and _CODE in grants) is not (way == "browser"):
            return None
        expires_at = read_time(fields.get("expiresAt"))
        names = (fields.get("clientId"), fields.get("clientSecret"))
        if expires_at is None or not all(isinstance(name, str) and name for name in names):
            return None
        found = Registration(str(names[0]), str(names[1]), expires_at)
        return found if time.time() + _LEAST < expires_at else None

    def register(self, client: Client, way: Way) -> Registration:
        """Register, and remember it.

        A file in an unknown format stays unchanged, because another tool may understand it. A
        warning names it, and the registration is not remembered.

        Args:
            client: Asks the service.
            way: How the person will log in.

        Raises:
            TokenError: the service refused.
            TransportError: the service gave no usable answer.
            StoreSaveError: it could not be remembered.
        """
        asked: dict[str, Any] = {
            "client_name": f"botocore-client-{self._config.name or int(time.time())}",
            "client_type": "public",
        }
        remembered: dict[str, Any] = {}
        if way == "browser":
            asked["redirect_uris"] = [REDIRECT_URI]
            asked["issuer_url"] = self._config.start_url
            asked["grant_types"] = remembered["grantTypes"] = list(_BROWSER_GRANTS)
            asked["scopes"] = remembered["scopes"] = list(self.scopes)
        elif self._config.scopes:
            asked["scopes"] = remembered["scopes"] = list(self._config.scopes)
        made = _registered(client, asked)
        fields = {
            "clientId": made.client_id,
            "clientSecret": made.client_secret,
            "expiresAt": write_time(made.expires_at),
        }
        if self._is_foreign():
            _log.warning(
                "%s: is not a client registration in the format of the AWS CLI. The file stays "
                "unchanged, so each login registers another client. Remove the file if no other "
                "tool needs it.",
                self.path,
            )
        else:
            self._store.write(self.path, Masked({**fields, **remembered}))
        return made

    def _is_foreign(self) -> bool:
        """Return whether the file holds something else than a registration."""
        try:
            if not self.path.stat().st_size:
                return False  # a write of another tool was cut off
        except OSError:
            return False
        fields = self._store.read(self.path).value or {}
        return not all(
            isinstance(fields.get(name), str) for name in ("clientId", "clientSecret", "expiresAt")
        )


def _registered(client: Client, asked: dict[str, Any]) -> Registration:
    answer = client.call("registration", **asked)
    made, problem = _made(answer)
    answer.clear()  # a report that shows the locals of each frame would show the secret
    if made is None:
        raise ResponseInvalidError(
            f"{client.provider.host} registered a client without {problem}.",
            evidence=Evidence(provider=client.provider.host, step="registration"),
        )
    return made


def _made(answer: dict[str, Any]) -> tuple[Registration | None, str]:
    for name in ("client_id", "client_secret"):
        if not isinstance(answer.get(name), str) or not answer[name]:
            return None, name
    ends = answer.get("client_secret_expires_at")
    if isinstance(ends, bool) or not isinstance(ends, (int, float)):
        return None, "client_secret_expires_at"
    try:
        write_time(ends)
    except ValueError:
        return None, "client_secret_expires_at"
    return Registration(answer["client_id"], answer["client_secret"], float(ends)), ""
