"""eBay, Mailchimp, PayPal, plentymarkets, Wix."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import RequestShape, ResponseShape

#: ``token_type`` names the owner of the token; Basic credentials are not form-encoded.
#:
#: - "Exchanging the authorization code for a User access token",
#:   https://developer.ebay.com/api-docs/static/oauth-auth-code-grant-request.html
#: - "Using a refresh token to update a User access token",
#:   https://developer.ebay.com/api-docs/static/oauth-refresh-token-request.html
EBAY = Dialect(
    name="ebay",
    request=RequestShape(basic="raw"),
    response=ResponseShape(
        token_types={"Application Access Token": "Bearer", "User Access Token": "Bearer"}
    ),
)

#: ``expires_in: 0`` means that the token does not expire; ``scope`` is null.
#:
#: - "Access Data on Behalf of Other Users with OAuth 2",
#:   https://mailchimp.com/developer/marketing/guides/access-user-data-oauth-2/
MAILCHIMP = Dialect(
    name="mailchimp",
    request=RequestShape(client_auth="client_secret_post"),
    response=ResponseShape(zero_never_expires=True),
)

#: ``expires_in`` may be a string; Basic credentials are not form-encoded.
#:
#: - "Get started with PayPal REST APIs", https://developer.paypal.com/api/rest/
#: - "Authentication", https://developer.paypal.com/api/rest/authentication/
PAYPAL = Dialect(name="paypal", request=RequestShape(basic="raw"))

#: Response members have camelCase names.
#:
#: - "REST API: Getting started",
#:   https://developers.plentymarkets.com/en-gb/developers/main/rest-api-guides/getting-started.html
PLENTYMARKETS = Dialect(
    name="plentymarkets",
    response=ResponseShape(
        names={
            "accessToken": "access_token",
            "expiresIn": "expires_in",
            "refreshToken": "refresh_token",
            "tokenType": "token_type",
        }
    ),
)

#: The request is JSON; the legacy response has no ``token_type``.
#:
#: - "Create Access Token",
#:   https://dev.wix.com/docs/rest/app-management/oauth-2/create-access-token
#: - "Refresh an Access Token",
#:   https://dev.wix.com/docs/rest/app-management/oauth-2/refresh-an-access-token
WIX = Dialect(name="wix", request=RequestShape(encoding="json", client_auth="client_secret_post"))
