"""Logins at an OpenID provider (OpenID Connect Core) for the issuer and the gateway."""
