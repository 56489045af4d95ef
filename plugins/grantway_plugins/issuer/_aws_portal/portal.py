"""The portal's operations: GetRoleCredentials, ListAccounts, ListAccountRoles and Logout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.tokens.access_token import find_access_token
from grantway_plugins.issuer._http.endpoints.revocation import revocation_event
from grantway_plugins.issuer._storage.errors import DatabaseBusyError, DatabaseError
from grantway_plugins.issuer._storage.records import TokenFamily
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.wire import WireResponse

from .accounts import AwsAccount
from .query import Query
from .responses import PortalError, content_response, failure_response

#: Scope that an access token must have.
SCOPE = "sso:account:access"
_TOKEN_HEADER = b"x-amz-sso_bearer_token"
METHODS = {
    "/assignment/accounts": "GET",
    "/assignment/roles": "GET",
    "/federation/credentials": "GET",
    "/logout": "POST",
}
#: The same error for every reason, as at AWS.
_UNAUTHORIZED = PortalError("UnauthorizedException", "Session token not found or invalid")

_log = logging.getLogger("grantway.issuer")


class Portal:
    """Serves the four operations for the logins of one issuer.

    Args:
        issuer: The issuer whose access tokens are accepted.
        store: The database.
        accounts: The accounts to serve.
    """

    def __init__(self, issuer: Issuer, store: IssuerStore, accounts: Iterable[AwsAccount]) -> None:
        self._issuer = issuer
        self._store = store
        self._accounts = {each.account_id: each for each in accounts}
        #: HTTP method by path; empty if there are no accounts.
        self.methods: Mapping[str, str] = METHODS if self._accounts else {}
        self._operations: Mapping[str, Callable[[Query], dict[str, Any]]] = {
            "/assignment/accounts": self._list_accounts,
            "/assignment/roles": self._list_account_roles,
            "/federation/credentials": self._get_role_credentials,
        }

    async def respond(self, path: str, query: bytes, headers: Mapping[bytes, str]) -> WireResponse:
        """Return the response to a request.

        Args:
            path: Path of the operation.
            query: The query string.
            headers: Headers with lower-case names.
        """
        token = headers.get(_TOKEN_HEADER, "")
        operation = self._operations.get(path)
        work = self._login if operation else self._logout
        try:
            login = await self._store.arun(lambda transaction: work(token, transaction))
            if login is None:
                return _UNAUTHORIZED.response()
            if operation is None:
                return content_response({}, revocation_event(login, "refresh_token"))
            return content_response(operation(Query(query)))
        except PortalError as error:
            return error.response()
        except DatabaseBusyError:
            return PortalError("TooManyRequestsException", "The database is busy").response()
        except Exception as error:  # noqa: BLE001 - the error may contain a secret, so it is neither logged nor sent
            shown = error if isinstance(error, DatabaseError) else type(error).__name__
            _log.error("A request to the AWS portal failed: %s", shown)
            return failure_response()

    def _logout(self, token: str, transaction: Transaction) -> TokenFamily | None:
        """Revoke the login and return it, or None if the access token is invalid."""
        family = self._login(token, transaction)
        if family is not None:
            transaction.revoke_family(family.family_id, self._issuer.clock())
        return family

    def _login(self, token: str, transaction: Transaction) -> TokenFamily | None:
        """Return the login of an access token, or None if the token is invalid."""
        now = self._issuer.clock()
        access = find_access_token(
            token, transaction, keys=self._issuer.keys, url=self._issuer.settings.url, now=now
        )
        if access is None or access.family.revoked or SCOPE not in access.scope:
            return None
        if access.confirmation:  # the portal's protocol has no proofs
            return None
        return access.family if now < access.expires_at else None

    def _list_accounts(self, query: Query) -> dict[str, Any]:
        accounts = [
            {
                "accountId": each.account_id,
                "accountName": each.name,
                "emailAddress": each.email,
            }
            for each in self._accounts.values()
        ]
        return query.page(accounts, "accountList", "accounts")

    def _list_account_roles(self, query: Query) -> dict[str, Any]:
        account = self._account(query)
        roles = [{"roleName": name, "accountId": account.account_id} for name in account.roles]
        return query.page(roles, "roleList", f"roles {account.account_id}")

    def _get_role_credentials(self, query: Query) -> dict[str, Any]:
        role_name = query.required("role_name")
        credentials = self._account(query).roles.get(role_name)
        if credentials is None:
            raise PortalError("ResourceNotFoundException", "The account does not have this role")
        return {
            "roleCredentials": {
                "accessKeyId": credentials.access_key_id,
                "secretAccessKey": credentials.secret_access_key,
                "sessionToken": credentials.session_token,
                "expiration": int((self._issuer.clock() + credentials.seconds) * 1000),
            }
        }

    def _account(self, query: Query) -> AwsAccount:
        account = self._accounts.get(query.required("account_id"))
        if account is None:
            raise PortalError("ResourceNotFoundException", "The account does not exist")
        return account
