"""HTTP requests and responses of the issuer and the gateway."""
