"""The device code grant at the token endpoint (RFC 8628 sections 3.4 and 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import digest, new_id
from grantway_plugins.issuer._decisions.resources import target_denial
from grantway_plugins.issuer._storage.records import DeviceCodeRecord, DeviceStatus, TokenFamily
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Seconds added to the polling interval each time a device polls too early.
SLOW_DOWN = 5.0
#: Seconds after the first poll within which AWS's clients may poll again.
AWS_SECOND_POLL = 1.0


class DeviceCodeIssuer:
    """Issues tokens once the user has approved the device.

    Checks, in this order: the client, denied, redeemed, expired, polled too early, pending.
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        key = digest(request.params["device_code"])
        code = transaction.device_codes.find(key)
        if code is None or code.client_id != request.client.client_id:
            return Denial("invalid_grant", "The device code is unknown; start again")
        ended = _ended(code, request.now)
        if ended:
            return ended
        if _polled_too_early(code, request):
            transaction.device_codes.record_poll(key, request.now, slower=SLOW_DOWN)
            wait = code.polling.interval + SLOW_DOWN
            return Denial("slow_down", f"Polled too early; wait {wait:g} seconds between polls")
        if code.status is DeviceStatus.PENDING:
            transaction.device_codes.record_poll(key, request.now)
            return Denial("authorization_pending", "The user has not decided yet; poll again")
        denial = target_denial(request, code.details.resources, code.scope)
        return denial or _redeemed(code, request, transaction)


DEVICE_CODE = DeviceCodeIssuer()


def _ended(code: DeviceCodeRecord, now: float) -> Denial | None:
    if code.status is DeviceStatus.DENIED:
        return Denial("access_denied", "The user denied the request")
    if code.status is DeviceStatus.REDEEMED:
        return Denial("invalid_grant", "The device code has already been redeemed; start again")
    if now >= code.expires_at:
        return Denial("expired_token", "The device code has expired; start again")
    return None


def _polled_too_early(code: DeviceCodeRecord, request: GrantRequest) -> bool:
    polling = code.polling
    if polling.last is None:
        return False
    since = request.now - polling.last
    if request.client.kind == "aws" and polling.count == 1 and since < AWS_SECOND_POLL:
        return False
    return since < polling.interval


def _redeemed(
    code: DeviceCodeRecord, request: GrantRequest, transaction: Transaction
) -> Issue | Denial:
    family = TokenFamily(
        family_id=new_id(),
        client_id=code.client_id,
        subject=code.subject or request.settings.subject,
        scope=code.scope,
        expires_at=request.now + request.settings.lifetimes.refresh_family,
        details=code.details,
    )
    if not transaction.device_codes.redeem(code.digest):
        return Denial("invalid_grant", "The device code has already been redeemed; start again")
    return Issue(family, code.scope, new=True)
