"""The grant: its parameters, and the text that the client signs."""

from grantway import Grant, GrantSchema, Replay, Scope, Text

GRANT_TYPE = "urn:grantway:params:oauth:grant-type:ssh-signature"
#: Namespace of the signatures, so that no signature for another purpose is accepted.
NAMESPACE = "oauth@grantway"


class SshSignatureSchema(GrantSchema):
    """The parameters of a token request."""

    principal = Text(required=True, example='"alice@example.com"', maximum=255)
    assertion = Text(required=True, example='"bm9uY2U.U1NIU0lH"', maximum=16_384)
    scope = Scope()


#: Each send has a new nonce, so a lost request may be sent again.
SSH_SIGNATURE = Grant(
    grant_type=GRANT_TYPE,
    schema=SshSignatureSchema(),
    replay=Replay.SAFE,
    secret=frozenset({"assertion"}),
    summary="A token for the signature of an SSH key",
)


def signed_text(issuer: str, client_id: str, principal: str, nonce: str) -> bytes:
    """Return the text that the client signs: four lines, for this request alone."""
    return "".join(f"{line}\n" for line in (issuer, client_id, principal, nonce)).encode()
