"""Network settings: proxies, trusted certificates and client certificates.

Each setting takes precedence over its environment variables. Settings are validated at once, and
errors name the setting.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from grantway._exceptions import ConfigurationError

#: Variables for trusted certificates; the first one that is set is used.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
#: Variables for proxies; the lower-case form takes precedence.
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SOCKS = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
_SCHEMES = _SOCKS | {"http", "https"}
_PROXY_EXAMPLE = 'like "http://proxy.example.com:3128"'


class _Hidden(str):
    """A password whose repr is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class ProxyChoice:
    """A proxy and the setting that selected it.

    Attributes:
        address: The proxy URL, which may contain a password.
        setting: The argument, key or variable.
        key: The key in ``ConfigurationError.errors``.
    """

    address: str
    setting: str
    key: str

    @property
    def shown(self) -> str:
        """The proxy URL without user and password."""
        parts = urlsplit(self.address)
        user = "***@" if "@" in parts.netloc else ""
        return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}"

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy."""
        return urlsplit(self.address).scheme in _SOCKS

    @property
    def login_line(self) -> str:
        """The header with the login of an HTTP proxy (RFC 9110 section 11.7.2); may be empty."""
        parts = urlsplit(self.address)
        if parts.username is None:
            return ""
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"

    def __repr__(self) -> str:
        return f"ProxyChoice({self.shown!r}, {self.setting!r})"


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
        self._proxies = _from_environment(env) if proxies is None else self._given(proxies)
        if no_proxy is None:
            no_proxy = env.get("no_proxy", env.get("NO_PROXY", ""))
        self._direct = no_proxy
        #: The context with the client certificate, and the state of its files.
        self._own_context: tuple[Hashable, ssl.SSLContext] | None = None
        # Check for PySocks, but only if the proxy for https, the usual scheme, is a SOCKS proxy.
        self.proxy_for("https://login.example.invalid/")

    # --- Trust ------------------------------------------------------------------------------------

    def _trust(self, given: Any, env: Mapping[str, str]) -> tuple[str | None, str]:
        if given is not None:
            if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
                self._refuse("ca_bundle", f"must be a path, not {given!r:.80}", "ca_bundle")
            path, setting = os.fspath(given), self._names.get("ca_bundle", "ca_bundle")
            _check_bundle(path, setting, "ca_bundle")
            return path, setting
        name = next((each for each in CA_VARIABLES if env.get(each)), None)
        if name is None:
            return None, ""
        _check_bundle(env[name], name, name)
        return env[name], name

    def _check_certificate(self, given: Any) -> None:
        certificate, key = _files(given)
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
        if _is_encrypted(key or certificate):
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
        if self.trusted is None:
            made = ssl.create_default_context()
        elif Path(self.trusted).is_dir():
            made = ssl.create_default_context(capath=self.trusted)
        else:
            made = ssl.create_default_context(cafile=self.trusted)
        if self.certificate is not None:
            certificate, key = _files(self.certificate)
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
        trusted = self.trusted or _default_bundle()
        if self.certificate is None or not client:
            return _trusting(trusted, _state(trusted))
        certificate, key = _files(self.certificate)
        state = (_state(trusted), _state(certificate), key and _state(key))
        if self._own_context is None or self._own_context[0] != state:
            made = _trusting.__wrapped__(trusted, None)
            made.load_cert_chain(certificate, key, password=self.key_password or "")
            self._own_context = (state, made)
        return self._own_context[1]

    # --- Proxies ----------------------------------------------------------------------------------

    def _given(self, proxies: Any) -> dict[str, ProxyChoice]:
        name = "proxies"
        by_scheme = {"all": proxies} if isinstance(proxies, str) else proxies
        if not isinstance(by_scheme, Mapping):
            self._refuse(name, f"must be an address, {_PROXY_EXAMPLE}, or a mapping to some", name)
        setting = self._names.get(name, name)
        return {scheme: _proxy(each, setting, name) for scheme, each in by_scheme.items()}

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
        if found is None or _is_direct(host, parts.port, self._direct):
            return None
        _check_library(found)
        return found

    def _refuse(self, argument: str, rule: str, key: str) -> NoReturn:
        raise ConfigurationError(
            f"{self._names.get(argument, argument)}: {rule}.", errors={key or argument: [rule]}
        )


def _from_environment(env: Mapping[str, str]) -> dict[str, ProxyChoice]:
    found = {}
    for variable in PROXY_VARIABLES:
        # In a CGI program, HTTP_PROXY comes from the ``Proxy`` header of the client.
        upper = () if variable == "HTTP_PROXY" and "REQUEST_METHOD" in env else (variable,)
        name = next((each for each in (variable.lower(), *upper) if env.get(each)), None)
        if name is not None:
            scheme = variable.removesuffix("_PROXY").lower()
            found[scheme] = _proxy(env[name], name, name)
    return found


def _proxy(address: Any, setting: str, key: str) -> ProxyChoice:
    """Return the checked proxy. Errors do not quote the URL, which may contain a password."""
    rule = f"must be a proxy's address, {_PROXY_EXAMPLE}"
    if isinstance(address, str):
        whole = address.strip() if "://" in address else f"http://{address.strip()}"
        try:
            parts = urlsplit(whole)
            fits = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if fits:
            return ProxyChoice(whole, setting, key)
    raise ConfigurationError(f"{setting}: {rule}.", errors={key: [rule]})


def _check_library(proxy: ProxyChoice) -> None:
    """Reject a SOCKS proxy if PySocks is not installed."""
    if urlsplit(proxy.address).scheme in _SOCKS and find_spec("socks") is None:
        rule = f"{proxy.shown} needs PySocks; install it with: pip install PySocks"
        raise ConfigurationError(f"{proxy.setting}: {rule}.", errors={proxy.key: [rule]})


def _is_direct(host: str, port: int | None, exempt: str) -> bool:
    """Return whether a host is exempt from proxies."""
    host = host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for each in exempt.replace(",", " ").lower().split():
        name, _, number = each.rpartition(":") if each.count(":") == 1 else (each, "", "")
        if number and number != str(port or ""):
            continue
        name = name.strip("[]").removeprefix("*.").strip(".")
        if each == "*" or host == name or (address is None and host.endswith(f".{name}") and name):
            return True
        if address is not None and "/" in name:
            try:
                if address in ipaddress.ip_network(name, strict=False):
                    return True
            except ValueError:
                continue
    return False


def _check_bundle(path: str, setting: str, key: str) -> None:
    problem = "there is no such file or directory"
    file = Path(path)
    try:
        if file.is_dir():
            next(file.iterdir(), None)
            return
        found = file.stat()
        _load(path, found.st_mtime_ns, found.st_size)
    except FileNotFoundError:
        pass
    except ssl.SSLError:
        problem = "it holds no certificates in PEM format, or damaged ones"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    else:
        return
    rule = f"{path} cannot be used as trusted certificates; {problem}"
    raise ConfigurationError(f"{setting}: {rule}.", errors={key: [rule]})


@lru_cache(maxsize=16)
def _load(path: str, _changed: int, _size: int) -> None:
    """Load a bundle, cached per file state because large bundles are slow."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)


def _default_bundle() -> str:
    import certifi  # noqa: PLC0415 - only https needs it

    return certifi.where()


def _state(path: str) -> Hashable:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=16)
def _trusting(trusted: str, _state: Hashable) -> ssl.SSLContext:
    """Return a context with these trusted certificates, cached because loading them is slow."""
    if Path(trusted).is_dir():
        made = ssl.create_default_context(capath=trusted)
    else:
        made = ssl.create_default_context(cafile=trusted)
    made.set_alpn_protocols(["http/1.1"])
    return made


def _files(certificate: Any) -> tuple[str, str | None]:
    """Return the files of the certificate and key; the key is None if one file has both."""
    if isinstance(certificate, (str, os.PathLike)):
        return os.fspath(certificate), None
    whole, key = certificate
    return whole, key


def _is_encrypted(path: str) -> bool:
    return b"ENCRYPTED" in Path(path).read_bytes()
