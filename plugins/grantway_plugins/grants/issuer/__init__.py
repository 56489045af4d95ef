"""The issuer's sides of these grants, one file each.

SAML assertions and CIBA have none: the embedded issuer trusts no single sign-on service and has no
way to reach a person's phone. JWTs have one once it is told whom to trust::

    from grantway_plugins.issuer._decisions.grants.jwt_bearer import JwtBearerIssuer, TrustedIssuer

    partners = JwtBearerIssuer([TrustedIssuer("https://idp.example.com", jwks)])
    registry = grantway.build_registry({"partners": partners})
"""
