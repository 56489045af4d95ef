"""Signed introspection responses (RFC 9701)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._extensions.reply import Reply
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._keys.settings import ALGORITHMS
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial, DenialError

#: Client metadata that requires signed responses (RFC 9701 section 6).
ALGORITHM = "introspection_signed_response_alg"
#: Type of signed responses, and their media type (RFC 9701 sections 4 and 5).
TYPE = "token-introspection+jwt"
MEDIA_TYPE = f"application/{TYPE}"
#: Algorithm for clients that registered none (RFC 9701 section 6), if the issuer has such a key.
_DEFAULT = "RS256"


def algorithm_members(issuer: Issuer, members: Mapping[str, Any]) -> dict[str, str]:
    """Return the client's metadata about signed responses, to be stored.

    Raises:
        DenialError: the issuer has no key for the algorithm.
    """
    algorithm = members.get(ALGORITHM)
    if algorithm is None:
        return {}
    # Only a running issuer knows its keys; the operator's commands do not.
    offered = ALGORITHMS if issuer.keys is None else issuer.keys.algorithms
    if issuer.settings.keys.enabled is False:
        raise DenialError("invalid_client_metadata", f"{ALGORITHM}: The issuer signs no responses")
    if algorithm not in offered:
        raise DenialError(
            "invalid_client_metadata", f"{ALGORITHM} must be one of {', '.join(offered)}"
        )
    return {ALGORITHM: algorithm}


def requires_signature(issuer: Issuer, request: IssuerRequest, client: RegisteredClient) -> bool:
    """Return whether to sign the response: for the client's metadata, or its ``Accept`` header.

    Without keys, the response to the header is JSON, as its media type says.
    """
    if ALGORITHM in client.metadata:
        return True
    accepted = request.headers.get("accept", "").lower()
    return issuer.keys is not None and any(
        each.partition(";")[0].strip() == MEDIA_TYPE for each in accepted.split(",")
    )


def signed_reply(
    issuer: Issuer,
    request: IssuerRequest,
    client: RegisteredClient,
    members: Mapping[str, Any],
    transaction: Transaction,
) -> Reply | Denial:
    """Return the state of a token as a JWT for one client.

    Args:
        issuer: The issuer.
        request: The request.
        client: The client that sent it; the audience of the JWT.
        members: Members of the response (RFC 7662 section 2.2).
        transaction: The transaction in which to find the key.
    """
    keys = issuer.keys
    offered = () if keys is None else keys.algorithms
    default = _DEFAULT if _DEFAULT in offered else next(iter(offered), None)
    algorithm = client.metadata.get(ALGORITHM, default)
    if keys is None or algorithm not in offered:
        return Denial(
            "invalid_request",
            f"The issuer has no key for the client's {ALGORITHM}, {algorithm}; register another "
            "one",
        )
    claims = {
        "iss": request.settings.url,
        "aud": client.client_id,
        "iat": int(request.now),
        "token_introspection": dict(members),
    }
    token = keys.sign(claims, transaction, request.now, typ=TYPE, alg=algorithm)
    return Reply(token, media_type=MEDIA_TYPE)
