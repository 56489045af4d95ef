"""HTTP requests and responses as the issuer and the gateway read and write them."""
