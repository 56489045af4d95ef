"""ID tokens of GitHub Actions."""

from __future__ import annotations

import os
from dataclasses import dataclass

from grantway._exceptions import ConfigurationError, SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._transport.http import require_secure
from grantway._types.secret_source import Secret

from .jwt import jwt_secret
from .requests import fetch, member

_URL, _TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_ADVICE = "give the job `permissions: id-token: write`"


@dataclass(frozen=True, slots=True)
class GitHubActionsToken:
    """``github_actions``: an ID token of the job that runs in GitHub Actions.

    The job needs ``permissions: id-token: write``.

    Attributes:
        audience: The audience of the token, such as the issuer's URL.
        timeout: Timeout of a read, in seconds.
    """

    audience: str
    timeout: float = 10.0

    @hides_arguments
    def read(self) -> Secret:
        """Return a new token, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: This is no job with the permission, or GitHub does not respond.
        """
        url, token = os.environ.get(_URL), os.environ.get(_TOKEN)
        if not url or not token:
            missing = _TOKEN if url else _URL
            raise SecretUnavailableError(
                f"the environment variable {missing} is not set; in GitHub Actions, {_ADVICE}"
            )
        try:
            require_secure(url, _URL)
        except ConfigurationError as error:
            raise SecretUnavailableError(error.message) from None
        response = fetch(
            url,
            {"audience": self.audience},
            {"Authorization": f"Bearer {token}", "Accept": "application/json"},
            self.timeout,
            advice=_ADVICE,
            through_proxy=True,
        )
        return jwt_secret(member(response, "value", "GitHub"), "GitHub's response", _ADVICE)
