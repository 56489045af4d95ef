"""The transport: sends HTTP requests with ``requests``. Contains no OAuth.

Unlike a plain session, it reports whether a failed request may have reached the server. The
connection records when the body is written to the socket: an earlier failure is
``ConnectionFailedError`` (never sent), a later one ``OutcomeUnknownError``. One deadline covers the
whole request and response, even if a server sends one byte at a time.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from typing import Any, Self, cast

import requests
from urllib3.exceptions import HTTPError, IncompleteRead
from urllib3.response import BaseHTTPResponse

from grantway._exceptions import (
    ConnectionFailedError,
    Evidence,
    ResponseTooLargeError,
    TransportError,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds

from .connections import Adapter, Sending, current
from .content_coding import decompressed
from .deadline import Deadline
from .failures import PROXY_LOGIN, failure_error, proxy_error, redirect_error
from .http import HttpRequest, HttpResponse
from .network import Network

#: Maximum size of a response in bytes.
MAX_RESPONSE = 1024 * 1024
#: Timeouts in seconds for connecting and for each read.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0
_REDIRECT_FROM, _REDIRECT_TO = 300, 400


class RequestsTransport(OneProcess):
    """Sends requests with ``requests`` over pooled connections. Thread-safe.

    Missing settings come from the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
    ``NO_PROXY`` (or in lower case), and the certificates of ``REQUESTS_CA_BUNDLE``,
    ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, whichever is set first in this order.
    No netrc is read.

    Args:
        connect_timeout: Seconds to connect, including TLS.
        read_timeout: Seconds for each read of the response.
        max_response: Maximum size of a response in bytes.
        pool_size: Maximum pooled connections per host.
        ca_bundle: Path of the trusted certificates instead of certifi's: a PEM file, or a directory
            prepared by ``openssl rehash``.
        client_certificate: Paths of this client's certificate and its private key, or of one PEM
            file with both, for mutual TLS (RFC 8705). Every new connection reads them again, so a
            rotated certificate needs no restart.
        client_key_password: The password of the private key.
        proxies: A proxy URL, or scheme (``https``, ``http``, ``all``) -> proxy URL; ``{}`` for
            none. A SOCKS proxy requires PySocks.
        no_proxy: Hosts to connect to without a proxy, as in ``NO_PROXY``.
        trust_env: Whether to read missing settings from the environment.
        setting_names: Argument -> its name in errors, for settings from a file.

    Raises:
        ConfigurationError: an argument is invalid. The message names it.
    """

    @hides_arguments  # a proxy URL may contain a password
    def __init__(
        self,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_response: int = MAX_RESPONSE,
        pool_size: int = 32,
        ca_bundle: str | None = None,
        client_certificate: str | tuple[str, str] | None = None,
        client_key_password: str | None = None,
        proxies: str | Mapping[str, str] | None = None,
        no_proxy: str | None = None,
        trust_env: bool = True,
        setting_names: Mapping[str, str] | None = None,
    ) -> None:
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("read_timeout", read_timeout)
        check_count("max_response", max_response)
        check_count("pool_size", pool_size, most=MOST_CONNECTIONS)
        #: Maximum seconds until the first byte of a response, including connecting.
        self.attempt_seconds = connect_timeout + read_timeout
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_response = max_response
        self._network = Network(
            ca_bundle=ca_bundle,
            client_certificate=client_certificate,
            client_key_password=client_key_password,
            proxies=proxies,
            no_proxy=no_proxy,
            trust_env=trust_env,
            names=setting_names,
        )
        del client_key_password  # hide it from tracebacks with locals
        self._pool_size = pool_size
        self._process, self._adapter = os.getpid(), self._connections()
        #: Adapters from before a fork. Not closed, since another thread may have held their locks,
        #: and still referenced, since garbage collection would close them.
        self._inherited: list[Adapter] = []

    @classmethod
    def within(cls, timeout: float, **options: Any) -> Self:
        """Return a transport whose timeouts for one attempt fit into the timeout of a call.

        Args:
            timeout: Timeout of the call in seconds.
            **options: Other arguments, such as ``ca_bundle``.
        """
        check_seconds("timeout", timeout)
        connect_timeout = min(CONNECT_TIMEOUT, timeout / 2)
        return cls(
            connect_timeout=connect_timeout,
            read_timeout=min(READ_TIMEOUT, timeout - connect_timeout),
            **options,
        )

    def _connections(self) -> Adapter:
        made = Adapter(pool_connections=16, pool_maxsize=self._pool_size, max_retries=0)
        made.key_password = self._network.key_password
        return made

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once; see ``Transport.send``."""
        if self._process != os.getpid():
            # Processes that share a connection could read each other's tokens.
            self._inherited.append(self._adapter)
            self._process, self._adapter = os.getpid(), self._connections()
        remaining = deadline.remaining()
        if remaining <= 0:
            raise ConnectionFailedError(
                f"The deadline of {deadline.seconds:g} s passed before the request was sent. "
                "Try again, or use a longer timeout.",
                failed="timeout",
            )
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = request.method, request.url
        prepared.headers = cast("Any", request.headers)
        prepared.headers.setdefault("User-Agent", USER_AGENT)
        prepared.headers["Accept-Encoding"] = "identity"
        if request.body:
            prepared.headers["Content-Length"] = str(len(request.body))
            prepared.body = request.body
        proxy = self._network.proxy_for(request.url)
        sending = Sending(deadline, self._read_timeout)
        outer, current.sending = current.sending, sending
        try:
            response = cast(
                "BaseHTTPResponse",
                self._adapter.send(
                    prepared,
                    stream=True,
                    timeout=(min(self._connect_timeout, remaining), self._read_timeout),
                    verify=self._network.trusted or True,
                    cert=self._network.certificate,
                    proxies=None if proxy is None else {"all": proxy.address},
                ),
            )
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status == PROXY_LOGIN and proxy is not None:
                failure: TransportError = proxy_error(proxy, response.status, request)
            elif _REDIRECT_FROM <= response.status < _REDIRECT_TO:
                failure = redirect_error(response.status, headers)
            else:
                body = response.read(self._max_response + 1)
                if len(body) <= self._max_response:
                    if response.length_remaining:
                        # urllib3 reports this only on a further read; half a form could look valid.
                        response.close()
                        raise IncompleteRead(len(body), response.length_remaining)
                    response.release_conn()
                    return decompressed(response.status, headers, body, self._max_response)
                failure = ResponseTooLargeError(
                    f"The response is larger than {self._max_response} bytes; the rest was not "
                    "read.",
                    evidence=Evidence(status=response.status, headers=headers),
                )
            response.close()
        except (requests.RequestException, HTTPError, OSError, http.client.HTTPException) as error:
            failure = failure_error(error, sending, request, proxy, self._network)
        finally:
            current.sending = outer
        # Raised outside the except block, because the exception of requests holds the request.
        raise failure

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()


def _user_agent() -> str:
    from grantway import (  # noqa: PLC0415 - the package is lazy, and this module is part of it
        __version__,
    )

    return f"grantway/{__version__}"


USER_AGENT = _user_agent()
