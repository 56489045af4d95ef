"""``grantway login`` with a credential offer."""

from __future__ import annotations

from grantway import InvalidGrantException, LoginContext, Token

from .errors import OfferInvalidError
from .offer import CredentialOffer, TransactionCode, read_offer
from .servers import authorization_server

#: Number of transaction codes that the user may enter.
ATTEMPTS = 3


def log_in(login: LoginContext) -> Token:
    """Ask for the credential offer and its transaction code, and return the token.

    Args:
        login: The profile and the terminal.
    """
    offer = read_offer(login.screen.ask_secret("Credential offer, from the QR code"))
    _check_server(offer, login)
    login.screen.say(
        f"{offer.credential_issuer} offers: {', '.join(offer.credential_configuration_ids)}"
    )
    if offer.tx_code is None:
        return login.request(code=offer.code)
    return _with_tx_code(login, offer.code, offer.tx_code)


def _with_tx_code(login: LoginContext, code: str, expected: TransactionCode) -> Token:
    if expected.description:
        login.screen.say(expected.description)
    unit = "digits" if expected.input_mode == "numeric" else "characters"
    hint = f" ({expected.length} {unit})" if expected.length else ""
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            return login.request(
                code=code, tx_code=login.screen.ask_secret(f"Transaction code{hint}")
            )
        except InvalidGrantException as rejected:
            if not attempts_left or not login.screen.interactive:
                raise
            login.screen.say(f"Rejected: {rejected.error_description or 'wrong code'}. Try again.")
    raise AssertionError  # the last attempt returned or raised


def _check_server(offer: CredentialOffer, login: LoginContext) -> None:
    """Do not send the code of another server's offer to the server of the profile."""
    expected = login.client.provider.issuer
    if expected in {offer.authorization_server, offer.credential_issuer}:
        return
    found = authorization_server(offer).issuer
    if found != expected:
        raise OfferInvalidError(
            f"The credential offer is for {found}, but the profile is for {expected}; log in with "
            f"a profile whose provider is {found}"
        )
