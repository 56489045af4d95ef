"""The client side of the coupon grant."""

from grantway import Grant, GrantSchema, Replay, Scope, Text, hookimpl

GRANT_TYPE = "urn:acme:coupon"


class CouponSchema(GrantSchema):
    """Parameters of the coupon grant."""

    coupon = Text(required=True, example='"SPRING-2031"', maximum=64)
    scope = Scope()


COUPON = Grant(
    grant_type=GRANT_TYPE,
    schema=CouponSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"coupon"}),
    single_use=frozenset({"coupon"}),
    summary="A token for a coupon",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the coupon grant."""
    return [COUPON]
