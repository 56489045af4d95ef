"""Verify the access tokens that a protected resource receives (RFC 6750, RFC 9068, RFC 7662).

``ProtectedResource`` accepts tokens of one or more ``AcceptedIssuer``. The gateway uses it for its
callers. The modules ``asgi``, ``fastapi``, ``flask``, ``django`` and ``mcp`` are adapters for web
frameworks. Modules are imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._accepted_issuer import AcceptedIssuer as AcceptedIssuer
    from ._client_certificates import CertificateHeader as CertificateHeader
    from ._errors import (
        AccessDeniedError as AccessDeniedError,
        VerificationUnavailableError as VerificationUnavailableError,
    )
    from ._issuer_status import (
        IssuerStatus as IssuerStatus,
        VerificationObserver as VerificationObserver,
    )
    from ._protected_resource import ProtectedResource as ProtectedResource
    from ._request import ReceivedRequest as ReceivedRequest, ResourceRequest as ResourceRequest
    from ._requirement import Requirement as Requirement
    from ._shared_proofs import SharedProofs as SharedProofs
    from ._verified_token import VerifiedToken as VerifiedToken

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._accepted_issuer": "AcceptedIssuer",
            "._client_certificates": "CertificateHeader",
            "._errors": "AccessDeniedError VerificationUnavailableError",
            "._issuer_status": "IssuerStatus VerificationObserver",
            "._protected_resource": "ProtectedResource",
            "._request": "ReceivedRequest ResourceRequest",
            "._requirement": "Requirement",
            "._shared_proofs": "SharedProofs",
            "._verified_token": "VerifiedToken",
        },
    )
