"""``grantway login`` with a credential offer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from grantway_openid4vci import GRANT_TYPE, OfferInvalidError

import grantway
from grantway_plugins.testing import LiveIssuer

from .conftest import Offer


class Answers:
    """A terminal whose user types these answers."""

    interactive = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.shown: list[str] = []

    def say(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, question: str) -> str:
        self.shown.append(question)
        return self.answers.pop(0)

    ask_secret = ask

    def show_address(self, url: str) -> None:
        self.shown.append(url)

    open_browser = show_address


def log_in(wallet: grantway.Client, screen: Answers) -> grantway.Token:
    context = grantway.LoginContext(wallet, GRANT_TYPE, screen, scope=("degree",))
    return wallet.registry.login_flows[GRANT_TYPE](context)


def test_asks_for_the_offer_and_the_transaction_code(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer(description="We sent it by post.")
    screen = Answers(offered["credential_offer"], offered["tx_code"])
    assert log_in(wallet, screen).scope == ("degree",)
    assert screen.shown[1].endswith("offers: UniversityDegree")
    assert screen.shown[2:] == ["We sent it by post.", "Transaction code (6 digits)"]


def test_needs_no_transaction_code_if_the_offer_has_none(
    wallet: grantway.Client, offer: Offer
) -> None:
    assert log_in(wallet, Answers(offer(tx_code="false")["credential_offer"]))


def test_the_user_may_correct_the_transaction_code(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer()
    screen = Answers(offered["credential_offer"], "0", offered["tx_code"])
    assert log_in(wallet, screen)
    assert "Rejected: The transaction code is wrong; attempts left: 4. Try again." in screen.shown


@pytest.mark.parametrize(("interactive", "attempts"), [(True, 3), (False, 1)])
def test_the_last_wrong_transaction_code_is_an_error(
    wallet: grantway.Client, offer: Offer, interactive: bool, attempts: int
) -> None:
    screen = Answers(offer()["credential_offer"], *["0"] * 3)
    screen.interactive = interactive
    with pytest.raises(grantway.InvalidGrantException, match=f"left: {5 - attempts}"):
        log_in(wallet, screen)


def test_does_not_send_the_code_of_another_server(
    wallet: grantway.Client, registrar: grantway.Client, offer: Offer
) -> None:
    by_value = offer(tx_code="false")["credential_offer_by_value"]
    members = json.loads(parse_qs(urlsplit(by_value).query)["credential_offer"][0])
    members["credential_issuer"] = "http://127.0.0.1:9"
    uri = f"openid-credential-offer://?credential_offer={quote(json.dumps(members))}"
    with pytest.raises(grantway.ConnectionFailedError):  # its metadata are needed
        log_in(wallet, Answers(uri))


def test_rejects_something_else_than_an_offer(wallet: grantway.Client) -> None:
    with pytest.raises(OfferInvalidError, match="paste the whole credential offer"):
        log_in(wallet, Answers("493536"))


def test_the_command_logs_in(
    wallet: grantway.Client, offer: Offer, grantway_issuer: LiveIssuer, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[profiles.wallet]\nprovider = "{grantway_issuer.url}"\nstore = "file"\n'
        f'client_id = "{wallet.client_id}"\ngrant = "{GRANT_TYPE}"\nscope = ["degree"]\n'
    )
    offered = offer()
    done = subprocess.run(
        [sys.executable, "-m", "grantway_plugins.cli", "login", "wallet"],
        input=f"{offered['credential_offer']}\n{offered['tx_code']}\n",
        env={**os.environ, "GRANTWAY_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    assert "Logged in to wallet" in shown
    assert offered["tx_code"] not in shown
