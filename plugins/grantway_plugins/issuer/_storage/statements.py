"""SQL statements of a transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from .prepared import Prepared
from .records import DeviceStatus
from .tables import (
    access_tokens,
    authorization_codes,
    device_codes,
    families,
    refresh_tokens,
    schema,
)


def _insert(table: sa.Table, *left_out: str) -> Prepared:
    """Return an INSERT with a parameter for each column that is not left out."""
    return Prepared(
        sa.insert(table).values(
            {each.name: bindparam(each.name) for each in table.c if each.name not in left_out}
        )
    )


PROBE = Prepared(sa.update(schema).values(version=schema.c.version))
_FAMILY_COLUMNS = (
    families.c.family_id,
    families.c.client_id,
    families.c.subject,
    families.c.scope,
    families.c.expires_at,
    families.c.revoked_at,
    families.c.origin,
    families.c.details,
)
# On databases with several writers, keep the token from being replaced and the family from being
# revoked concurrently.
_LOCKED = (families, refresh_tokens)
REFRESH_TOKEN = Prepared(
    sa.select(refresh_tokens.c.used_at, *_FAMILY_COLUMNS)
    .join_from(refresh_tokens, families, refresh_tokens.c.family_id == families.c.family_id)
    .where(refresh_tokens.c.digest == bindparam("key"))
    .with_for_update(of=_LOCKED)
)
REFRESH_TOKENS = Prepared(
    sa.select(refresh_tokens.c.digest, refresh_tokens.c.used_at, *_FAMILY_COLUMNS)
    .join_from(refresh_tokens, families, refresh_tokens.c.family_id == families.c.family_id)
    .where(refresh_tokens.c.digest == sa.any_(bindparam("keys", type_=sa.ARRAY(sa.LargeBinary))))
    .order_by(refresh_tokens.c.digest)  # transactions that lock in the same order do not deadlock
    .with_for_update(of=_LOCKED)
)
SPEND_REFRESH_TOKEN = Prepared(
    sa.update(refresh_tokens)
    .where(refresh_tokens.c.digest == bindparam("key"), refresh_tokens.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
LAST_SPENT = Prepared(
    sa.select(sa.func.max(refresh_tokens.c.used_at)).where(
        refresh_tokens.c.digest.between(bindparam("low"), bindparam("high"))
    )
)
REVOKE_FAMILY = Prepared(
    sa.update(families)
    .where(sa.or_(families.c.family_id == bindparam("id"), families.c.origin == bindparam("id")))
    .where(families.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
FAMILY = Prepared(sa.select(*_FAMILY_COLUMNS).where(families.c.family_id == bindparam("id")))
LOCK_FAMILY = Prepared(
    sa.select(families.c.revoked_at)
    .where(families.c.family_id == bindparam("id"))
    .with_for_update(read=True)
)
ACCESS_TOKEN = Prepared(
    sa.select(
        access_tokens.c.scope.label("token_scope"),
        access_tokens.c.issued_at,
        access_tokens.c.expires_at.label("token_expires_at"),
        access_tokens.c.audience,
        access_tokens.c.confirmation,
        *_FAMILY_COLUMNS,
    )
    .join_from(access_tokens, families, access_tokens.c.family_id == families.c.family_id)
    .where(access_tokens.c.digest == bindparam("key"))
)
DELETE_ACCESS_TOKEN = Prepared(
    sa.delete(access_tokens).where(access_tokens.c.digest == bindparam("key"))
)
AUTHORIZATION_CODE = Prepared(
    sa.select(authorization_codes).where(authorization_codes.c.digest == bindparam("key"))
)
SPEND_AUTHORIZATION_CODE = Prepared(
    sa.update(authorization_codes)
    .where(authorization_codes.c.digest == bindparam("key"))
    .where(authorization_codes.c.family_id.is_(None))
    .values(family_id=bindparam("family"))
)
DEVICE_CODE = Prepared(sa.select(device_codes).where(device_codes.c.digest == bindparam("key")))
USER_CODE = Prepared(
    sa.select(device_codes).where(device_codes.c.user_code_digest == bindparam("key"))
)
POLLED = Prepared(
    sa.update(device_codes)
    .where(device_codes.c.digest == bindparam("key"))
    .values(
        polls=device_codes.c.polls + 1,
        polled_at=bindparam("now"),
        interval=device_codes.c.interval + bindparam("slower", type_=sa.Double()),
    )
)
MOVE_DEVICE_CODE = Prepared(
    sa.update(device_codes)
    .where(device_codes.c.digest == bindparam("key"))
    .where(device_codes.c.status == bindparam("before"))
    .values(status=bindparam("after"))
)
DECIDE_DEVICE_CODE = Prepared(
    sa.update(device_codes)
    .where(device_codes.c.digest == bindparam("key"))
    .where(device_codes.c.status == DeviceStatus.PENDING.value)
    .values(
        status=bindparam("after"),
        subject=bindparam("approver"),
        details=bindparam("approved", type_=sa.Text()),
    )
)
ADD_FAMILY = _insert(families, "revoked_at")
ADD_REFRESH_TOKEN = _insert(refresh_tokens, "used_at")
ADD_ACCESS_TOKEN = _insert(access_tokens)
ADD_AUTHORIZATION_CODE = _insert(authorization_codes, "family_id")
ADD_DEVICE_CODE = _insert(device_codes, "polled_at")
