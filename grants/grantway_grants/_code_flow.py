"""A login with the authorization code grant, step by step (RFC 6749 section 4.1, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from grantway._exceptions import (
    ConfigurationError,
    Evidence,
    FlowError,
    RedirectMismatchError,
    ResponseInvalidError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._requests.computed_parameters import compute
from grantway._requests.error_codes import error_class
from grantway._secrets.error_members import members_of
from grantway._secrets.params import Params
from grantway._secrets.redaction import printable
from grantway._types.fields import Scope
from grantway._types.token import Token

from ._flow import EndpointCall, Flow, TokenCall, run, run_async
from ._login_parameters import login_parameters

GRANT_TYPE = "authorization_code"


def code_challenge(code_verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request. Keep it until the redirect arrives.

    Attributes:
        url: The URL to open in the user's browser.
        redirect_uri: The redirect URI.
        state: Identifies the login in the redirect; a secret.
        code_verifier: The PKCE verifier (RFC 7636); a secret.
    """

    url: str = field(repr=False)
    redirect_uri: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


class AuthorizationCodeFlow(OneProcess):
    """A login in a browser: begin it, open its URL, and finish it with the redirect.

    ::

        flow = AuthorizationCodeFlow(client, scope=["read"])
        request = flow.begin("http://127.0.0.1:8400/callback")
        print(request.url)
        token = flow.finish(request, input("Paste the URL that the browser shows: "))

    Args:
        client: The client; its provider must have an ``authorization_endpoint``.
        scope: Scope names to request.
        extra: Provider-specific parameters, sent with the authorization request and the token
            request. Parameters of authorization requests alone, such as ``prompt``, are not sent
            to the token endpoint.
        resource: The APIs that the token is for (RFC 8707), sent with both requests.
        par: Whether to push the request to the provider first, so that the browser carries only a
            reference to it (RFC 9126). None follows the provider's metadata.
    """

    stays = (
        "it holds a client; create one in the process that uses it, or send the "
        "AuthorizationRequest"
    )

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str | None = None,
        extra: Mapping[str, Any] | None = None,
        resource: str | Sequence[str] | None = None,
        par: bool | None = None,
    ) -> None:
        self._client = client
        if par is None:
            required = client.provider.metadata.get("require_pushed_authorization_requests")
            par = required is True
        self._par = par
        self._scope = Scope().names(scope) or client.provider.scope or None
        self._parameters = login_parameters(client, GRANT_TYPE, extra=extra, resource=resource)

    def begin(
        self,
        redirect_uri: str,
        *,
        state: str | None = None,
        code_verifier: str | None = None,
        cancel: threading.Event | None = None,
    ) -> AuthorizationRequest:
        """Return an authorization request.

        Args:
            redirect_uri: The registered redirect URI.
            state: The state; by default a new one. A web application that derives ``state`` and
                ``code_verifier`` from the browser's session need not store the request. Both must
                be different for each login, and impossible to guess.
            code_verifier: The PKCE verifier, 43 to 128 characters; by default a new one.
            cancel: Setting this event ends the wait between two attempts to push the request.

        Raises:
            ConfigurationError: the provider lacks the authorization endpoint, or the endpoint for
                pushed requests.
            TokenError: the provider rejected the pushed request.
            TransportError: the request could not be pushed.
        """
        return run(self._begin(redirect_uri, state, code_verifier), self._client, cancel)

    async def begin_async(
        self, redirect_uri: str, *, state: str | None = None, code_verifier: str | None = None
    ) -> AuthorizationRequest:
        """Return an authorization request without blocking the event loop; see ``begin``.

        Args:
            redirect_uri: As for ``begin``.
            state: As for ``begin``.
            code_verifier: As for ``begin``.
        """
        return await run_async(self._begin(redirect_uri, state, code_verifier), self._client)

    def _begin(
        self, redirect_uri: str, state: str | None = None, code_verifier: str | None = None
    ) -> Flow[AuthorizationRequest]:
        state = state or secrets.token_urlsafe(32)
        code_verifier = code_verifier or secrets.token_urlsafe(32)
        fields = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scope,
            "state": state,
            "code_challenge": code_challenge(code_verifier),
            "code_challenge_method": "S256",
        }
        given = self._parameters.first
        if taken := sorted(fields.keys() & given.keys()):
            raise ConfigurationError(
                f"extra: must not contain {', '.join(taken)}; the login sets it."
            )
        endpoint = self._client.provider.endpoint("authorization")
        query: Mapping[str, Any] = Params({**fields, **given})
        query = (yield from self._push(query)) if self._par else compute(query)
        url = self._client.dialect.encoder.authorization_url(endpoint, query)
        return AuthorizationRequest(url, redirect_uri, state, code_verifier)

    def _push(self, fields: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        """Push the request to the provider, and return the parameters that replace it."""
        arguments = Params(extra=fields)
        response = Params((yield EndpointCall("pushed_authorization_request", arguments)))
        reference = response.get("request_uri")
        if not isinstance(reference, str) or not reference:
            raise ResponseInvalidError(
                f"{self._client.provider.host} accepted the pushed request without returning a "
                "request_uri (RFC 9126 section 2.2). Check the endpoint, or set par=False.",
                evidence=Evidence(
                    provider=self._client.provider.host,
                    grant_type=GRANT_TYPE,
                    step="pushed_authorization_request",
                ),
            )
        return {"client_id": self._client.client_id, "request_uri": reference}

    def finish(
        self,
        request: AuthorizationRequest,
        redirect: str,
        *,
        cancel: threading.Event | None = None,
    ) -> Token:
        """Request a token with the code in the redirect.

        Args:
            request: The result of ``begin``.
            redirect: The URL to which the browser was redirected, or its query.
            cancel: Setting this event ends the wait between two attempts.

        Raises:
            RedirectMismatchError: the redirect belongs to another login or provider.
            TokenError: the user or the provider denied the request.
        """
        return run(self._finish(request, redirect), self._client, cancel)

    async def finish_async(self, request: AuthorizationRequest, redirect: str) -> Token:
        """Request a token without blocking the event loop; see ``finish``.

        Args:
            request: The result of ``begin`` or ``begin_async``.
            redirect: As for ``finish``.
        """
        return await run_async(self._finish(request, redirect), self._client)

    def _finish(self, request: AuthorizationRequest, redirect: str) -> Flow[Token]:
        token: Token = yield TokenCall(
            Params(
                grant_type=GRANT_TYPE,
                code=self.code(request, redirect),
                redirect_uri=request.redirect_uri,
                code_verifier=request.code_verifier,
                extra=self._parameters.token or None,
            )
        )
        return token

    def code(self, request: AuthorizationRequest, redirect: str) -> str:
        """Return the code in a redirect after checking ``state`` and ``iss``.

        Raises:
            RedirectMismatchError: the redirect belongs to another login or provider.
            TokenError: the redirect contains an error.
        """
        evidence = Evidence(
            provider=self._client.provider.host, grant_type=GRANT_TYPE, step="authorization"
        )
        response = _query(redirect, evidence)
        state = response.get("state", "")
        # Some providers omit the state in an error. That is safe: there is no code to misuse.
        stateless = "error" in response and "state" not in response
        if not stateless and not hmac.compare_digest(state.encode(), request.state.encode()):
            problem = (
                "differs. Start the login again and use the newest URL."
                if state
                else "is missing. Use the complete address to which the provider redirected the "
                "browser."
            )
            raise RedirectMismatchError(
                f"The redirect does not belong to this login: its state {problem}",
                evidence=evidence,
            )
        self._check_issuer(response.get("iss"), evidence)
        if error := response.get("error"):
            described = response.get("error_description")
            raise error_class(error, self._client.registry.errors)(
                f"The provider rejected the login with {printable(error)}"
                + (f": {printable(described)}" if described else ""),
                error=error,
                error_description=described,
                error_uri=response.get("error_uri"),
                evidence=replace(evidence, members=members_of(response, (state,))),
            )
        if not response.get("code"):
            raise FlowError(
                "The redirect contains neither a code nor an error. Start the login again.",
                evidence=evidence,
            )
        return response["code"]

    def _check_issuer(self, iss: str | None, evidence: Evidence) -> None:
        """Reject a redirect from another provider (RFC 9207 section 2.4)."""
        provider = self._client.provider
        promised = provider.metadata.get("authorization_response_iss_parameter_supported") is True
        if iss is None and not promised:
            return
        if provider.issuer is not None and iss != provider.issuer:
            raise RedirectMismatchError(
                f"The redirect names {'another issuer' if iss else 'no issuer'}, but the login was "
                f"sent to {provider.issuer}. The code was not used; start the login again.",
                evidence=evidence,
            )


def _query(redirect: str, evidence: Evidence) -> dict[str, str]:
    # Pasted text may contain surrogates, which the checks below cannot encode.
    text = redirect.strip().encode("utf-8", "replace").decode()
    try:
        query = urlsplit(text).query or (text.lstrip("?") if "://" not in text else "")
    except ValueError:
        query = ""
    response: dict[str, str] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if len(values) > 1:
            raise RedirectMismatchError(
                f"The redirect contains {printable(name)} more than once (RFC 6749 section 3.1).",
                evidence=evidence,
            )
        response[name] = values[0]
    if not response:
        raise RedirectMismatchError(
            "This is not the URL of a redirect. Copy the whole URL that the browser shows after "
            "the login, including everything after the question mark.",
            evidence=evidence,
        )
    return response
