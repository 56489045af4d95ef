"""Google."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: A device authorization response has ``verification_url``; the error for too many device codes is
#: in ``error_code``; ``error_subtype`` distinguishes an expired session from a revoked token. The
#: response to a refresh has no refresh token, and the old one remains valid.
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
