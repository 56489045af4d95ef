"""The grant: its parameters, and whether a request may be sent twice."""

from grantway import Grant, GrantSchema, Replay, Scope, Text

GRANT_TYPE = "urn:example:grant-type"


class Parameters(GrantSchema):
    """The parameters of a request."""

    example_parameter = Text(required=True, example='"value-1"', maximum=64)
    scope = Scope()


#: The parameter works only once, so a request is not retried after a lost response.
GRANT = Grant(
    grant_type=GRANT_TYPE,
    schema=Parameters(),
    replay=Replay.NEVER,
    secret=frozenset({"example_parameter"}),
    single_use=frozenset({"example_parameter"}),
    summary="Exchange example_parameter for a token",
)
