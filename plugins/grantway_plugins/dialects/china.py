"""Douban and Weibo."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape

_REQUEST = RequestShape(scope_separator=",", client_auth="client_secret_post")

#: No ``token_type``; scopes separated by commas; an error is a number in ``code`` and a text in
#: ``msg``.
#:
#: - "使用 OAuth 2.0 访问豆瓣 API", https://developers.douban.com/wiki/?title=oauth2
DOUBAN = Dialect(
    name="douban",
    request=_REQUEST,
    error=ErrorShape(
        code_at=(("code",),),
        description_at=(("msg",),),
        codes={
            "104": "invalid_client",
            "105": "unauthorized_client",
            "113": "invalid_request",
            "114": "unsupported_grant_type",
            "115": "unsupported_response_type",
            "116": "invalid_client",
            "117": "invalid_grant",
            "118": "invalid_grant",
            "119": "invalid_grant",
        },
    ),
)

#: No ``token_type``; ``expires_in`` may be a string; scopes separated by commas; ``expired_token``
#: means an access token, not a device code; ``error_code`` has Weibo's number.
#:
#: - "OAuth2/access token", https://open.weibo.com/wiki/OAuth2/access_token
#: - "授权机制说明", https://open.weibo.com/wiki/授权机制说明
WEIBO = Dialect(
    name="weibo",
    request=_REQUEST,
    error=ErrorShape(
        reason_at=(("error_code",),),
        codes={"expired_token": "invalid_token", "redirect_uri_mismatch": "invalid_grant"},
    ),
)
