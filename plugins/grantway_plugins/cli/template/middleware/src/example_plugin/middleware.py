"""The middleware: code around each request."""

from __future__ import annotations

import logging
from collections.abc import Generator

from grantway import Exchange, GrantwayError, ProviderResponse

logger = logging.getLogger("example_plugin")


def audit(exchange: Exchange) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
    """Log each request and its outcome; neither contains a secret."""
    try:
        response = yield exchange
    except GrantwayError as error:
        logger.warning("%s at %s: %s", exchange.step, exchange.host, error.code)
        raise
    logger.info("%s at %s: ok", exchange.step, exchange.host)
    return response
