"""Parts of Prometheus metrics that the issuer and the gateway share."""
