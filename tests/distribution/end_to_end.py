"""Exchange a coupon for a token end to end. Runs inside the new virtual environment."""

from __future__ import annotations

import json

import requests

import grantway
from grantway_plugins.issuer import IssuerServer, IssuerSettings

with IssuerServer(IssuerSettings(registration="unrestricted")) as server:
    registered = requests.post(
        f"{server.url}/register",
        json={"client_name": "shop", "grant_types": ["urn:acme:coupon"], "scope": "read write"},
        timeout=10,
    ).json()
    provider = grantway.Provider.discover(server.url)
    with grantway.Client(
        provider, client_id=registered["client_id"], client_secret=registered["client_secret"]
    ) as client:
        token = client.create_token(
            grant_type="urn:acme:coupon", coupon="SPRING-2031", scope=["read"]
        )
        errors = []
        for coupon in ("SPRING-1999", ""):
            try:
                client.create_token(grant_type="urn:acme:coupon", coupon=coupon)
            except grantway.TokenError as error:
                errors.append(f"{type(error).__name__}: {error.error_description}")
            except grantway.RequestInvalidError as error:
                errors.append(f"{type(error).__name__}: {error}")
        print(
            json.dumps(
                {
                    "supported": provider.metadata["grant_types_supported"],
                    "scope": token.scope,
                    "refresh_token": token.refresh_token,
                    "errors": errors,
                    "observers": client.dispatcher().observe.failures,
                }
            )
        )
