"""A circuit breaker and a bulkhead for each provider, as one middleware of its clients."""

from .breaker import BreakerRules
from .bulkhead import BulkheadRules
from .protection import Protection
from .state import Notice, ProtectionState

__all__ = ["BreakerRules", "BulkheadRules", "Notice", "Protection", "ProtectionState"]
