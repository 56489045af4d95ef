"""The exception that only AWS has. It is registered in every process, and the drop-in is not."""

from __future__ import annotations

from typing import Any

from grantway._exceptions import Evidence, InvalidRequestException


class InvalidRequestRegionException(InvalidRequestException):
    """The application's identity store is in another region (CreateTokenWithIAM)."""

    code = "invalid_request_region"

    def __init__(
        self,
        message: str = "",
        *,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        reason: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        # AWS names this class only in a header. The body has the code invalid_request.
        super().__init__(
            message,
            error=self.wire,
            error_description=error_description,
            error_uri=error_uri,
            reason=reason,
            evidence=evidence,
        )

    @property
    def endpoint(self) -> str | None:
        """Address of the right endpoint, if the service sent it."""
        return self._text("endpoint")

    @property
    def region(self) -> str | None:
        """The right region, if the service sent it."""
        return self._text("region")

    def _text(self, name: str) -> str | None:
        found = self.members.get(name)
        return found if isinstance(found, str) else None

    @property
    def response(self) -> dict[str, Any]:
        """The error in the shape of botocore's ``ClientError.response``."""
        own = {"endpoint": self.endpoint, "region": self.region}
        return {**super().response, **{name: text for name, text in own.items() if text}}
