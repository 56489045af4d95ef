"""The grant: its parameters, and whether a request may be sent twice."""

from grantway import Grant, GrantSchema, Replay, Scope, Text

GRANT_TYPE = "urn:example:example-grant"


class VoucherSchema(GrantSchema):
    """The parameters of a request."""

    voucher = Text(required=True, example='"SPRING-2031"', maximum=64)
    scope = Scope()


#: A voucher works only once, so a request is not retried after a lost response.
VOUCHER = Grant(
    grant_type=GRANT_TYPE,
    schema=VoucherSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"voucher"}),
    single_use=frozenset({"voucher"}),
    summary="A token for a voucher",
)
