"""Client middleware that combines a circuit breaker and a bulkhead for each provider."""

from .breaker import BreakerRules
from .bulkhead import BulkheadRules
from .protection import Protection
from .shared import FailureRecord
from .state import Notice, ProtectionState

__all__ = [
    "BreakerRules",
    "BulkheadRules",
    "FailureRecord",
    "Notice",
    "Protection",
    "ProtectionState",
]
