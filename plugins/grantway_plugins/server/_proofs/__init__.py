"""Proofs that a client has the key of a token (DPoP, RFC 9449), for the issuer and the gateway."""
