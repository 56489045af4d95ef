"""Keep secrets out of logs, reprs, tracebacks and errors."""
