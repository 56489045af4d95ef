"""An SSO session of ``~/.aws/config``, shared with the AWS tools.

::

    from grantway_plugins import aws

    with aws.sso_session("my-session") as session:
        session.login_on_device(lambda shown: print(shown.verification_uri_complete))
        token = session.credential().token()
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from grantway._exceptions import InvalidClientException, UnauthorizedClientException
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._transport.transport import HttpTransport
from grantway._types.quantity import check_seconds
from grantway_grants import authorization_code, refresh_token
from grantway_grants.device_code import DeviceAuthorization, DeviceFlow
from grantway_plugins.aws._cache.store import DEFAULT_FOLDER, AwsCliStore
from grantway_plugins.aws._config.endpoint import endpoint_of, provider_at
from grantway_plugins.aws._config.sso_config import SsoConfig, read_config

from .registration import REDIRECT_URI, LoginMethod, Registration, RegistrationCache
from .stored_client import StoredClient, login_needed

if TYPE_CHECKING:
    import threading
    from typing import Self

    from grantway._credentials.credential import Credential
    from grantway._credentials.credential_config import OnToken
    from grantway._plugins.registry import Registry
    from grantway._transport.http import Transport
    from grantway._types.freshness import Freshness
    from grantway._types.token import Token


def sso_session(
    name: str | None = None,
    *,
    profile: str | None = None,
    config_file: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] = DEFAULT_FOLDER,
    endpoint_url: str | None = None,
    registry: Registry | None = None,
    transport: Transport | None = None,
    timeout: float = 30.0,
) -> SsoSession:
    """Read an SSO session from the AWS tools' configuration, without sending a request.

    Args:
        name: The NAME of a section ``[sso-session NAME]``.
        profile: Name of a profile with a session, or of a legacy profile with its own start URL;
            by default ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or ``default``.
        config_file: Path of the file; by default ``AWS_CONFIG_FILE``, or ``~/.aws/config``.
        folder: Folder of the AWS CLI's cache.
        endpoint_url: Address of the service; by default ``AWS_ENDPOINT_URL_SSO_OIDC``,
            ``AWS_ENDPOINT_URL``, or the address in the session's region.
        registry: Registry of grants; by default all installed plugins.
        transport: Transport that sends the requests; by default a new one that trusts the
            certificates of ``AWS_CA_BUNDLE`` or the profile's ``ca_bundle``, if set.
        timeout: Timeout of one call in seconds, including retries.

    Raises:
        ConfigurationError: The file, section or a field is missing or invalid; names it.
    """
    config = read_config(name, profile=profile, path=config_file)
    return SsoSession(
        config,
        folder=folder,
        endpoint_url=endpoint_url,
        registry=registry,
        transport=transport,
        timeout=timeout,
    )


class SsoSession(OneProcess):
    """An SSO session, created by ``sso_session``. Thread-safe. Close it after use.

    Attributes:
        config: Configuration of the login.
        provider: The service.
        store: Store in the AWS CLI's cache.
        key: Key of the token in the store.
    """

    stays = (
        "it holds connections and locks; send its name and call sso_session(name) in the "
        "process that uses it"
    )

    def __init__(
        self,
        config: SsoConfig,
        *,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        endpoint_url: str | None = None,
        registry: Registry | None = None,
        transport: Transport | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.config = config
        self.provider = provider_at(
            endpoint_of(config.region, endpoint_url, config.settings, named="sso_region")
        )
        self.store = AwsCliStore(folder, start_url=config.start_url, region=config.region)
        self.key = config.key
        self._transport = transport or HttpTransport.within(timeout, **config.settings.trust)
        self._registrations = RegistrationCache(self.store, config)
        self._options: dict[str, Any] = {
            "registry": registry,
            "transport": self._transport,
            "timeout": timeout,
        }
        self._client = StoredClient(self.provider, self.store, config, **self._options)

    def credential(
        self, *, freshness: Freshness | None = None, on_token: OnToken | None = None
    ) -> Credential:
        """Return the credential that refreshes the session's token.

        A refresh token can only be used with the registration that it was issued to. After that
        registration has expired, ``Credential.token`` raises ``LoginNeededError``, with the command
        that logs in.

        Args:
            freshness: When to refresh the token; by default as botocore does.
            on_token: Called with every new token, before it is used.
        """
        return self._client.credential(
            grant_type=refresh_token.GRANT_TYPE,
            store=self.store,
            key=self.key,
            freshness=freshness,
            on_token=on_token,
            # Called if no refresh token is stored, or the stored one was rejected.
            refresh_token=self._ask_for_login,
        )

    def login_on_device(
        self,
        prompt: Callable[[DeviceAuthorization], None],
        *,
        cancel: threading.Event | None = None,
        on_poll: Callable[[str], None] | None = None,
    ) -> Token:
        """Log in on another device with a user code (RFC 8628), and store the token.

        Args:
            prompt: Shows the address and the code to the user; called again if the service no
                longer knows the client.
            cancel: Event that cancels the login.
            on_poll: Called with the error code of each poll that returned no token.

        Raises:
            AccessDeniedException: The user denied access; other TokenErrors likewise.
            FlowTimeoutError: The user did not approve in time.
            FlowCancelledError: ``cancel`` was set.
            TransportError: The service sent no usable response.
            StoreError: The token could not be stored.
        """

        def log_in(registration: Registration) -> Token:
            flow = DeviceFlow(
                self._registered(registration), extra={"start_url": self.config.start_url}
            )
            authorization = flow.start(cancel=cancel)
            prompt(authorization)
            return flow.wait(authorization, cancel=cancel, on_poll=on_poll)

        return self._log_in("device", log_in, cancel)

    def login_with_browser(
        self,
        *,
        prompt: Callable[[str], object] | None = None,
        open_browser: Callable[[str], object] | None = None,
        listen: str | None = None,
        ports: Sequence[int] | None = None,
        timeout: float = 300.0,
        cancel: threading.Event | None = None,
    ) -> Token:
        """Log in with the browser of this machine (RFC 8252, PKCE), and store the token.

        Args:
            prompt: Shows the address to the user before a browser is opened. With it, the login
                continues if no browser can be opened.
            open_browser: Opens an address; by default the system's browser. See
                ``grantway_grants.authorization_code.login``.
            listen: Address to listen on instead of 127.0.0.1, as in a container.
            ports: Ports to try, in this order; by default any free one.
            timeout: Time limit for the user in seconds.
            cancel: Event that cancels the login.

        Raises:
            AccessDeniedException: The user denied access; other TokenErrors likewise.
            BrowserUnavailableError: No browser could be opened, and there is no ``prompt``.
            FlowTimeoutError: The user did not log in in time.
            FlowCancelledError: ``cancel`` was set.
            TransportError: The service sent no usable response.
            StoreError: The token could not be stored.
        """
        check_seconds("timeout", timeout)

        def log_in(registration: Registration) -> Token:
            return authorization_code.login(
                self._registered(registration),
                scope=self._registrations.scopes,
                redirect_uri=REDIRECT_URI,
                listen=listen,
                ports=ports,
                prompt=prompt,
                open_browser=open_browser,
                timeout=timeout,
                cancel=cancel,
            )

        return self._log_in("browser", log_in, cancel)

    def logout(self) -> bool:
        """Remove the token from the cache, also for the AWS tools.

        The token is not revoked: a copy of it is valid until it expires.

        Returns:
            Whether a token was stored.

        Raises:
            StoreError: The token could not be removed.
        """
        with self.store.lock(self.key, self._client.timeout):
            found = self.store.load(self.key) is not None
            self.store.delete(self.key)
        return found

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SsoSession({self.key!r} at {self.provider.host!r})"

    def _registered(self, registration: Registration) -> Client:
        return Client(
            self.provider,
            client_id=registration.client_id,
            client_secret=registration.client_secret,
            **self._options,
        )

    def _log_in(
        self,
        method: LoginMethod,
        log_in: Callable[[Registration], Token],
        cancel: threading.Event | None,
    ) -> Token:
        """Log in with the stored registration, or with a new one.

        Register again if no registration is stored, or the service no longer knows it.
        """
        registration = self._registrations.load(method)
        if registration is not None:
            try:
                if method == "browser":
                    authorization_code.check_registration(
                        self._registered(registration), cancel=cancel
                    )
                return self._accept(log_in(registration), registration)
            except (InvalidClientException, UnauthorizedClientException):
                pass  # the service no longer knows it
        registration = self._registrations.register(self._client, method)
        return self._accept(log_in(registration), registration)

    def _accept(self, token: Token, registration: Registration) -> Token:
        with_registration = replace(token, extra={**token.extra, **registration.fields()})
        self.credential().accept(with_registration)
        return token

    def _ask_for_login(self) -> NoReturn:
        raise login_needed(self.config, "no token is stored, or it can no longer be refreshed")
