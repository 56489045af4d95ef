"""The client side of the grant: its parameters."""

import re

from grantway import Grant, GrantSchema, Replay, Scope, Text

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:pre-authorized_code"


class AnyText(Text):
    """A text of any characters except control characters."""

    characters = re.compile(r"[^\x00-\x1f\x7f]+")


class PreAuthorizedCodeSchema(GrantSchema):
    """The parameters of a token request (OpenID4VCI section 6.1)."""

    code = Text(required=True, data_key="pre-authorized_code", example='"oaKazRN8I0IbtZ0C7JuMn5"')
    tx_code = AnyText(example='"493536"', maximum=300)
    scope = Scope()


#: A code works once, so a request is not repeated after a lost response.
PRE_AUTHORIZED_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=PreAuthorizedCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"code", "tx_code"}),
    single_use=frozenset({"code"}),
    summary="A token for the pre-authorized code of a credential offer (OpenID4VCI)",
)
