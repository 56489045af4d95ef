"""Token requests that callers send to the gateway."""
