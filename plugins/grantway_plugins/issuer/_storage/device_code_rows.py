"""Device codes in the database."""

from __future__ import annotations

from typing import Any

from . import statements as sql
from .prepared import Cursor, Prepared
from .records import DeviceCodeRecord, DeviceStatus, LoginDetails, Polling


class DeviceCodeRows:
    """Database operations on device codes.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def add(self, code: DeviceCodeRecord, user_code_digest: bytes) -> None:
        """Store a device code and its user code."""
        self._cursor.change(
            sql.ADD_DEVICE_CODE,
            {
                "digest": code.digest,
                "user_code_digest": user_code_digest,
                "client_id": code.client_id,
                "scope": " ".join(code.scope),
                "subject": code.subject,
                "status": code.status.value,
                "expires_at": code.expires_at,
                "interval": code.polling.interval,
                "polls": 0,
                "details": code.details.to_json(),
            },
        )

    def find(self, digest: bytes) -> DeviceCodeRecord | None:
        """Return the device code with this digest, whatever its status."""
        return self._device_code(sql.DEVICE_CODE, digest)

    def find_by_user_code(self, user_code_digest: bytes) -> DeviceCodeRecord | None:
        """Return the device code of a user code."""
        return self._device_code(sql.USER_CODE, user_code_digest)

    def record_poll(self, digest: bytes, now: float, *, slower: float = 0.0) -> None:
        """Record a poll, and add ``slower`` seconds to the device's polling interval."""
        self._cursor.change(sql.POLLED, {"key": digest, "now": now, "slower": slower})

    def decide(self, code: DeviceCodeRecord, status: DeviceStatus, subject: str | None) -> bool:
        """Store the user's decision and the details of ``code``.

        Returns:
            False if the user has decided already.
        """
        return self._changed(
            sql.DECIDE_DEVICE_CODE,
            {
                "key": code.digest,
                "after": status.value,
                "approver": subject,
                "approved": code.details.to_json(),
            },
        )

    def redeem(self, digest: bytes) -> bool:
        """Redeem an approved device code; return False if it is not in status approved."""
        return self._changed(
            sql.MOVE_DEVICE_CODE,
            {
                "key": digest,
                "before": DeviceStatus.APPROVED.value,
                "after": DeviceStatus.REDEEMED.value,
            },
        )

    def _device_code(self, statement: Prepared, digest: bytes) -> DeviceCodeRecord | None:
        row = self._cursor.row(statement, {"key": digest})
        if row is None:
            return None
        (
            key,
            _,
            client_id,
            scope,
            subject,
            status,
            expires_at,
            interval,
            polls,
            polled_at,
            details,
        ) = row
        return DeviceCodeRecord(
            digest=bytes(key),
            client_id=client_id,
            scope=tuple(scope.split()),
            subject=subject,
            status=DeviceStatus(status),
            expires_at=expires_at,
            polling=Polling(interval, polls, polled_at),
            details=LoginDetails.from_json(details),
        )

    def _changed(self, statement: Prepared, values: dict[str, Any]) -> bool:
        return self._cursor.change(statement, values) == 1
