"""The grant: what a request holds, and what a second send of it does."""

from grantway import Grant, GrantSchema, Replay, Scope, Text

GRANT_TYPE = "urn:example:example-grant"


class VoucherSchema(GrantSchema):
    """A voucher, and what the token is for."""

    voucher = Text(required=True, example='"SPRING-2031"', maximum=64)
    scope = Scope()


#: A voucher is taken once, so a request whose answer was lost is not sent again.
VOUCHER = Grant(
    grant_type=GRANT_TYPE,
    schema=VoucherSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"voucher"}),
    single_use=frozenset({"voucher"}),
    summary="A token for a voucher",
)
