"""Gauges of a server's certificate."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from grantway_plugins.server._tls.certificate import ServerCertificate


def watch_certificate(
    registry: CollectorRegistry, prefix: str, certificate: ServerCertificate
) -> None:
    """Measure the expiry of a certificate, and changes that could not be used.

    Args:
        registry: Registry of the metrics.
        prefix: Start of their names, like ``grantway``.
        certificate: The certificate.
    """
    for name, text, value in (
        (
            "certificate_expiry_timestamp_seconds",
            "Expiry of the TLS certificate, in seconds since the epoch",
            lambda: certificate.not_after,
        ),
        (
            "certificate_failures",
            "Changes of the certificate's files that could not be used since the start",
            lambda: certificate.failures,
        ),
    ):
        Gauge(f"{prefix}_{name}", text, registry=registry).set_function(value)
