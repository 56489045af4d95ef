"""Logins at an OpenID provider (OpenID Connect Core), at which the issuer is a client."""
