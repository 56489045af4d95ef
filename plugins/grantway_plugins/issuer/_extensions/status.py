"""HTTP statuses of extensions' responses."""

from __future__ import annotations

from .errors import InvalidArgumentError

#: Statuses without content. A client would take content for the start of the next response.
WITHOUT_CONTENT = frozenset({204, 205, 304})


def check_status(status: object) -> None:
    """Reject what is not the status of a final response.

    Raises:
        ValueError: the status is invalid.
    """
    if type(status) is not int or not 200 <= status <= 599:  # noqa: PLR2004 - documented
        raise InvalidArgumentError("status must be from 200 to 599")
