"""Google."""

from __future__ import annotations

from grantway._wire.dialect import Dialect, ErrorShape, RequestShape, ResponseShape

#: A device login names its page ``verification_url``; a refusal for too many device codes is in
#: ``error_code``; ``error_subtype`` tells a session that ended from a token that was revoked. A
#: refresh answers without a refresh token, and the old one stays good.
#:
#: - "OAuth 2.0 for TV and Limited-Input Device Applications",
#:   https://developers.google.com/identity/protocols/oauth2/limited-input-device
#: - "Using OAuth 2.0 for Web Server Applications",
#:   https://developers.google.com/identity/protocols/oauth2/web-server
GOOGLE = Dialect(
    name="google",
    request=RequestShape(client_auth="client_secret_post"),
    response=ResponseShape(names={"verification_url": "verification_uri"}),
    error=ErrorShape(code_at=(("error",), ("error_code",)), reason_at=(("error_subtype",),)),
)
