"""gRPC services for Envoy (extra ``envoy``)."""
