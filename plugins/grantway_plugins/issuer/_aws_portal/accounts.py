"""Accounts and role credentials of the portal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grantway._processes.copies import Value
from grantway._types.quantity import check_seconds


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """The response of GetRoleCredentials for one role.

    Attributes:
        access_key_id: Access key id.
        secret_access_key: Secret access key.
        session_token: Session token.
        seconds: Lifetime that the response reports, in seconds.

    Raises:
        ConfigurationError: ``seconds`` is not a valid duration.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        """Check the duration."""
        check_seconds("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class AwsAccount(Value):
    """An account that the user can choose.

    Attributes:
        account_id: Twelve digits.
        name: Display name.
        email: Email address of the owner.
        roles: Credentials by role name.
    """

    account_id: str
    name: str
    email: str
    roles: Mapping[str, RoleCredentials]
