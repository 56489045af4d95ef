"""Client registration for SSO sessions, cached in the AWS CLI's file."""

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

#: Login method. As in the AWS CLI, each has its own kind of registration.
LoginMethod = Literal["device", "browser"]

#: Redirect URI of the AWS CLI. Each login adds a port (RFC 8252 section 7.3).
REDIRECT_URI = "http://127.0.0.1/oauth/callback"
_CODE = "authorization_code"
_BROWSER_GRANTS = (_CODE, "refresh_token")
#: Scopes of a browser login if none are configured.
_DEFAULT_SCOPES = ("sso:account:access",)
#: Remaining lifetime, in seconds, that a registration needs at the start of a login.
_MIN_LIFETIME = 60.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered client.

    Attributes:
        client_id: ID of the client.
        client_secret: Secret of the client.
        expires_at: Unix time at which the registration and its refresh tokens expire.
    """

    client_id: str
    client_secret: str = field(repr=False)
    expires_at: float

    def fields(self) -> dict[str, str]:
        """Return the fields that are stored with a token in the cache."""
        return {
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "registrationExpiresAt": write_time(self.expires_at),
        }


class RegistrationCache:
    """The registration of one login, shared with the AWS CLI.

    Args:
        store: Store in the AWS CLI's cache.
        config: Configuration of the login.

    Attributes:
        path: Path of the registration's file.
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
        name = hashlib.sha1(  # noqa: S324 - not for security: the AWS CLI's file name
            json.dumps(facts, sort_keys=True).encode()
        ).hexdigest()
        self.path = store.folder / f"{name}.json"

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes that a browser login registers for and requests."""
        return self._config.scopes or _DEFAULT_SCOPES

    def load(self, method: LoginMethod) -> Registration | None:
        """Return the registration if it is for this login method and expires late enough.

        The file holds one registration, whose grant types show the method. A file in an unknown
        format is ignored.
        """
        fields = self._store.read(self.path).value or {}
        grants = fields.get("grantTypes")
        if (isinstance(grants, list) and _CODE in grants) is not (method == "browser"):
            return None
        expires_at = read_time(fields.get("expiresAt"))
        names = (fields.get("clientId"), fields.get("clientSecret"))
        if expires_at is None or not all(isinstance(name, str) and name for name in names):
            return None
        found = Registration(str(names[0]), str(names[1]), expires_at)
        return found if time.time() + _MIN_LIFETIME < expires_at else None

    def register(self, client: Client, method: LoginMethod) -> Registration:
        """Register a client, and store the registration.

        A file in an unknown format is not overwritten, because another tool may understand it. In
        that case, log a warning and do not store the registration.

        Args:
            client: Client that sends the request.
            method: Login method.

        Raises:
            TokenError: The service rejected the registration.
            TransportError: The service sent no usable response.
            StoreSaveError: The registration could not be stored.
        """
        request: dict[str, Any] = {
            "client_name": f"botocore-client-{self._config.name or int(time.time())}",
            "client_type": "public",
        }
        stored: dict[str, Any] = {}
        if method == "browser":
            request["redirect_uris"] = [REDIRECT_URI]
            request["issuer_url"] = self._config.start_url
            request["grant_types"] = stored["grantTypes"] = list(_BROWSER_GRANTS)
            request["scopes"] = stored["scopes"] = list(self.scopes)
        elif self._config.scopes:
            request["scopes"] = stored["scopes"] = list(self._config.scopes)
        registration = _send(client, request)
        fields = {
            "clientId": registration.client_id,
            "clientSecret": registration.client_secret,
            "expiresAt": write_time(registration.expires_at),
        }
        if self._is_foreign():
            _log.warning(
                "%s: not a client registration in the format of the AWS CLI. The file is kept, so "
                "each login registers another client. Remove the file if no other tool needs it.",
                self.path,
            )
        else:
            self._store.write(self.path, Masked({**fields, **stored}))
        return registration

    def _is_foreign(self) -> bool:
        """Return whether the file exists and is not a registration."""
        try:
            if not self.path.stat().st_size:
                return False  # another tool was interrupted while writing it
        except OSError:
            return False
        fields = self._store.read(self.path).value or {}
        return not all(
            isinstance(fields.get(name), str) for name in ("clientId", "clientSecret", "expiresAt")
        )


def _send(client: Client, request: dict[str, Any]) -> Registration:
    response = client.call("registration", **request)
    registration, invalid = _parse(response)
    response.clear()  # error reports with locals would show the secret
    if registration is None:
        raise ResponseInvalidError(
            f"The registration response of {client.provider.host} has no valid {invalid}.",
            evidence=Evidence(provider=client.provider.host, step="registration"),
        )
    return registration


def _parse(response: dict[str, Any]) -> tuple[Registration | None, str]:
    """Return the registration, or the name of a missing or invalid member."""
    for name in ("client_id", "client_secret"):
        if not isinstance(response.get(name), str) or not response[name]:
            return None, name
    expires_at = response.get("client_secret_expires_at")
    if isinstance(expires_at, bool) or not isinstance(expires_at, (int, float)):
        return None, "client_secret_expires_at"
    try:
        write_time(expires_at)
    except ValueError:
        return None, "client_secret_expires_at"
    return Registration(response["client_id"], response["client_secret"], float(expires_at)), ""
