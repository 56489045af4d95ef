"""The device authorization grant (RFC 8628)."""

from __future__ import annotations

from grantway.grant import Grant, GrantSchema, Replay, Scope, Text
from grantway.hookspecs import hookimpl

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


class DeviceCodeSchema(GrantSchema):
    """``device_code``; AWS's ``scope`` is allowed too, and has no effect there."""

    device_code = Text(required=True, example='"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"')
    scope = Scope()


#: A poll is repeated by the flow, which knows the interval; the retry middleware must not.
DEVICE_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=DeviceCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"device_code"}),
    summary="A token once a person has approved on another device (RFC 8628)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the device code grant."""
    return [DEVICE_CODE]
