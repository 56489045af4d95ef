"""A certificate and its key in files, which are read again when they change."""

from __future__ import annotations

import logging
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway_plugins._file_signature import file_signature

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Logs loaded certificates, their expiry, and files that cannot be used.
logger = logging.getLogger("grantway.tls")
#: Share of a certificate's lifetime that is left when the log warns. Programs renew it earlier.
_WARN_SHARE = 0.25
#: Reasons of OpenSSL for a key of another certificate, and for a file that is not PEM.
_MISMATCH = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_NOT_PEM = frozenset({"NO_START_LINE", "UNSUPPORTED"})
#: Seconds between two warnings about the expiry.
_WARN_INTERVAL = 86_400.0


class ServerCertificate(OneProcess):
    """A server's certificate, which is read again when its files change.

    If the new files cannot be used, the server keeps the previous certificate and logs the reason.

    Args:
        certificate: PEM file with the certificate, followed by those of intermediate authorities.
        key: PEM file with the private key without a password; by default the same file.

    Raises:
        ConfigurationError: The files cannot be used; ``errors`` names ``tls_certificate`` or
            ``tls_key``.

    Attributes:
        context: Context for new connections. It is replaced when the files change.
        not_after: Expiry, in seconds since the epoch.
        failures: Number of changes that could not be used.
        problem: Why the last change could not be used, or an empty string.
    """

    stays = "it holds a private key; create it in the process that uses it"

    def __init__(self, certificate: str | Path, key: str | Path | None = None) -> None:
        self._certificate = Path(certificate)
        self._key = Path(certificate if key is None else key)
        self.failures = 0
        self.problem = ""
        self._warned = float("-inf")
        self._used = self._seen = self._signature()
        self.context: ssl.SSLContext
        self.not_after: float
        self._load()

    def check(self) -> None:
        """Load the files if they changed, and log if the certificate expires soon.

        Call it every second. The files are loaded when they have not changed since the previous
        call, so that a certificate and a key that are replaced one after the other fit together.
        """
        signature = self._signature()
        unchanged, self._seen = signature == self._seen, signature
        if unchanged and signature != self._used:
            self._used = signature
            try:
                self._load()
            except ConfigurationError as error:
                self.failures += 1
                self.problem = " ".join(rule for rules in error.errors.values() for rule in rules)
                logger.error(  # noqa: TRY400 - the traceback adds nothing
                    "The new TLS certificate cannot be used, so the previous one, which expires at "
                    "%s, stays in use: %s",
                    _shown(self.not_after),
                    error.message,
                )
            else:
                self.problem = ""
                self.log()
        self._warn_of_expiry()

    def log(self) -> None:
        """Log the certificate and its expiry."""
        logger.info(
            "Using the TLS certificate in %s, which expires at %s",
            self._certificate,
            _shown(self.not_after),
        )

    def _signature(self) -> object:
        return file_signature(self._certificate), file_signature(self._key)

    def _load(self) -> None:
        found = _read_certificate(self._certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except _PasswordError:
            rule = f"{self._key} is encrypted; store the key without a password, with mode 0600"
        except ssl.SSLError as error:
            rule = self._key_problem(error.reason)
        except OSError as error:
            rule = _unreadable(self._key, error)
        else:
            self.context = context
            self._begins = found.not_valid_before_utc.timestamp()
            self.not_after = found.not_valid_after_utc.timestamp()
            self._warned = float("-inf")
            return
        raise ConfigurationError(f"tls_key: {rule}", errors={"tls_key": [rule]})

    def _key_problem(self, reason: str | None) -> str:
        """Return the rule for a reason of OpenSSL."""
        if reason in _MISMATCH:
            return (
                f"{self._key} does not belong to the certificate in {self._certificate}; "
                "replace both files"
            )
        if reason is None or reason in _NOT_PEM:
            return f"{self._key} has no private key; give a PEM file"
        return f"{self._key} and {self._certificate} cannot be used ({reason}); replace both files"

    def _warn_of_expiry(self) -> None:
        now = time.time()
        left = self.not_after - now
        if left > _WARN_SHARE * (self.not_after - self._begins):
            return
        if now - self._warned >= _WARN_INTERVAL or (left <= 0 < self.not_after - self._warned):
            self._warned = now
            logger.warning(
                "The TLS certificate in %s %s at %s; renew it",
                self._certificate,
                "expires" if left > 0 else "expired",
                _shown(self.not_after),
            )


def server_certificate(
    certificate: str | Path | None, key: str | Path | None
) -> ServerCertificate | None:
    """Return the certificate in files, or None if there are no files.

    Raises:
        ConfigurationError: The files cannot be used, or there is only a key.
    """
    if certificate is not None:
        return ServerCertificate(certificate, key)
    if key is None:
        return None
    rule = "requires tls_certificate"
    raise ConfigurationError(f"tls_key {rule}", errors={"tls_key": [rule]})


class _PasswordError(Exception):
    """The key is encrypted."""


def _no_password() -> str:
    raise _PasswordError  # OpenSSL would ask on the terminal


def _read_certificate(path: Path) -> Certificate:
    """Return the first certificate of a file.

    Raises:
        ConfigurationError: The file has none, or cryptography is not installed.
    """
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        rule = "requires cryptography; install it with: pip install 'grantway[operation]'"
        raise ConfigurationError(
            f"tls_certificate {rule}", errors={"tls_certificate": [rule]}
        ) from None
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        rule = _unreadable(path, error)
    except ValueError:
        rule = f"{path} has no certificate; give a PEM file that begins with the server's"
    raise ConfigurationError(f"tls_certificate: {rule}", errors={"tls_certificate": [rule]})


def _unreadable(path: Path, error: OSError) -> str:
    missing = isinstance(error, FileNotFoundError)
    advice = "create the file, or correct the path" if missing else "let this user read it"
    return f"{path} cannot be read ({error.strerror}); {advice}"


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
