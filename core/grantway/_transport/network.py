"""Network settings: proxies, trusted certificates and client certificates.

Each setting takes precedence over its environment variables. Settings are validated at once, and
errors name the setting.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError

from .proxies import (
    PROXY_EXAMPLE,
    ProxyChoice,
    check_library,
    is_direct,
    parse_proxy,
    proxies_from_environment,
)

if TYPE_CHECKING:
    import ssl

#: Variables for trusted certificates; the first one that is set is used.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class _Hidden(str):
    """A password whose repr is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Network:
    """The validated network settings of a transport.

    Args:
        ca_bundle: A PEM file of trusted certificates, or a directory prepared by ``openssl
            rehash``.
        client_certificate: The files of the client's certificate and private key, or one file with
            both.
        client_key_password: The password of the private key.
        proxies: A proxy URL, or scheme (``https``, ``http``, ``all``) -> proxy URL. An empty
            mapping disables proxies.
        no_proxy: Comma-separated hosts to connect to directly: domains (including subdomains),
            addresses, networks, ``host:port``, or ``*``.
        trust_env: Whether to read missing settings from the environment.
        names: Argument -> its name in errors, for settings from a file.

    Attributes:
        trusted: The file or directory of trusted certificates, or None for the default.
        trusted_by: The setting that named ``trusted``.
        certificate: As ``client_certificate``.
        key_password: As ``client_key_password``.

    Raises:
        ConfigurationError: a setting is invalid. The message names it.
    """

    def __init__(
        self,
        *,
        ca_bundle: str | os.PathLike[str] | None = None,
        client_certificate: str | tuple[str, str] | None = None,
        client_key_password: str | None = None,
        proxies: str | Mapping[str, str] | None = None,
        no_proxy: str | None = None,
        trust_env: bool = True,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._names = dict(names or {})
        env = os.environ if trust_env else {}
        self.trusted, self.trusted_by = self._trust(ca_bundle, env)
        self.certificate = client_certificate
        self.key_password = None if client_key_password is None else _Hidden(client_key_password)
        del client_key_password  # hide it from tracebacks with locals
        if self.certificate is not None:
            self._check_certificate(self.certificate)
        elif self.key_password is not None:
            self._refuse("client_key_password", "needs client_certificate beside it", "")
        self._proxies = proxies_from_environment(env) if proxies is None else self._given(proxies)
        if no_proxy is None:
            no_proxy = env.get("no_proxy", env.get("NO_PROXY", ""))
        self._direct = no_proxy
        #: The context with the client certificate, and the state of its files.
        self._own_context: tuple[Hashable, ssl.SSLContext] | None = None
        # Check for PySocks, but only if the proxy for https, the usual scheme, is a SOCKS proxy.
        self.proxy_for("https://login.example.invalid/")

    # --- Trust ------------------------------------------------------------------------------------

    def _trust(self, given: Any, env: Mapping[str, str]) -> tuple[str | None, str]:
        name = next((each for each in CA_VARIABLES if env.get(each)), None)
        if given is None and name is None:
            return None, ""
        from .trust import check_bundle  # noqa: PLC0415 - loads ssl, as below

        if given is not None:
            if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
                self._refuse("ca_bundle", f"must be a path, not {given!r:.80}", "ca_bundle")
            path, setting = os.fspath(given), self._names.get("ca_bundle", "ca_bundle")
            check_bundle(path, setting, "ca_bundle")
            return path, setting
        assert name is not None
        check_bundle(env[name], name, name)
        return env[name], name

    def _check_certificate(self, given: Any) -> None:
        import ssl  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415

        from .trust import certificate_files, is_encrypted  # noqa: PLC0415

        certificate, key = certificate_files(given)
        for argument, path in (("client_certificate", certificate), ("client_key", key)):
            try:
                if path is not None:
                    Path(path).open("rb").close()
            except OSError as error:
                self._refuse(argument, f"{path!s} cannot be used ({error.strerror})", argument)
        try:
            # Without a password argument, OpenSSL would prompt on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
                certificate, key, password=self.key_password or ""
            )
        except (ssl.SSLError, ValueError) as error:  # ValueError: the password is too long
            reason = getattr(error, "reason", None)
        else:
            return
        if reason == "KEY_VALUES_MISMATCH":
            self._refuse(
                "client_key", f"{key or certificate!s} is not the key of {certificate!s}", ""
            )
        if is_encrypted(key or certificate):
            rule = (
                f"is needed: the private key {key or certificate!s} has a password"
                if self.key_password is None
                else f"does not open the private key {key or certificate!s}"
            )
            self._refuse("client_key_password", rule, "")
        rule = f"{certificate!s} and its key cannot be used ({reason or 'they are not PEM files'})"
        self._refuse("client_certificate", rule, "")

    def ssl_context(self) -> ssl.SSLContext:
        """Return an SSL context for clients other than the transport."""
        import ssl  # noqa: PLC0415

        from .trust import certificate_files, new_context  # noqa: PLC0415

        made = ssl.create_default_context() if self.trusted is None else new_context(self.trusted)
        if self.certificate is not None:
            certificate, key = certificate_files(self.certificate)
            made.load_cert_chain(certificate, key, password=self.key_password or "")
        return made

    def tls_context(self, *, client: bool = True) -> ssl.SSLContext:
        """Return the SSL context for a new connection of the transport.

        Contexts are shared until one of their files changes.

        Args:
            client: Whether to present the client certificate.

        Raises:
            OSError: a file cannot be read or used any more.
        """
        from .trust import (  # noqa: PLC0415
            certificate_files,
            default_bundle,
            file_state,
            new_context,
            trusting,
        )

        trusted = self.trusted or default_bundle()
        if self.certificate is None or not client:
            return trusting(trusted, file_state(trusted))
        certificate, key = certificate_files(self.certificate)
        state = (file_state(trusted), file_state(certificate), key and file_state(key))
        if self._own_context is None or self._own_context[0] != state:
            made = new_context(trusted)
            made.load_cert_chain(certificate, key, password=self.key_password or "")
            self._own_context = (state, made)
        return self._own_context[1]

    # --- Proxies ----------------------------------------------------------------------------------

    def _given(self, proxies: Any) -> dict[str, ProxyChoice]:
        name = "proxies"
        by_scheme = {"all": proxies} if isinstance(proxies, str) else proxies
        if not isinstance(by_scheme, Mapping):
            self._refuse(name, f"must be an address, {PROXY_EXAMPLE}, or a mapping to some", name)
        setting = self._names.get(name, name)
        return {scheme: parse_proxy(each, setting, name) for scheme, each in by_scheme.items()}

    def proxy_for(self, url: str) -> ProxyChoice | None:
        """Return the proxy for a URL, or None to connect directly.

        Raises:
            ConfigurationError: it is a SOCKS proxy, and PySocks is not installed.
        """
        if not self._proxies:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        ways = (f"{parts.scheme}://{host}", parts.scheme, f"all://{host}", "all")
        found = next((self._proxies[each] for each in ways if each in self._proxies), None)
        if found is None or is_direct(host, parts.port, self._direct):
            return None
        check_library(found)
        return found

    def _refuse(self, argument: str, rule: str, key: str) -> NoReturn:
        raise ConfigurationError(
            f"{self._names.get(argument, argument)}: {rule}.", errors={key or argument: [rule]}
        )
