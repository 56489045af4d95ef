"""Parts of ``cache_seconds``, the longest use of a cached response."""

from __future__ import annotations

#: Seconds for which a cache may use a response longer while it requests the next (RFC 5861).
REVALIDATION = 1
#: Caches count whole seconds, so they may use a response for almost a second longer.
ROUNDING = 1
#: The shortest time that lets a proxy cache anything.
LEAST_SECONDS = REVALIDATION + ROUNDING + 1
