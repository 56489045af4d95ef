"""An embedded issuer that issues tokens for the registered grants.

It accepts both dialects on one port, stores only digests, and asks the user for approval on HTML
pages. ``IssuerServer`` runs an issuer inside a program, and ``serve`` as a process.

Plugins implement ``IssuerGrant``, ``IssuerExtension`` and ``IssuerClientAuth`` with types that do
not need the extra ``issuer``. Members of the package are imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from grantway._types.grant import IssuerGrant as IssuerGrant
    from grantway._types.issuer_plugins import (
        IssuerClientAuth as IssuerClientAuth,
        IssuerExtension as IssuerExtension,
        IssuerLogin as IssuerLogin,
    )
    from grantway_plugins.server._http.audit_event import AuditEvent as AuditEvent
    from grantway_plugins.server._http.denial import Denial as Denial
    from grantway_plugins.server._http.headers import Headers as Headers

    from ._aws_portal.accounts import AwsAccount as AwsAccount, RoleCredentials as RoleCredentials
    from ._aws_portal.accounts_file import read_accounts as read_accounts
    from ._browser_driver import BrowserDriver as BrowserDriver
    from ._clients.certificate_settings import ClientCertificates as ClientCertificates
    from ._clients.document_settings import ClientDocuments as ClientDocuments
    from ._decisions.decision import (
        GrantRequest as GrantRequest,
        Issue as Issue,
    )
    from ._decisions.randomness import digest as digest
    from ._extensions.additions import (
        Additions as Additions,
        Endpoint as Endpoint,
        Page as Page,
    )
    from ._extensions.reply import Reply as Reply
    from ._extensions.request import IssuerRequest as IssuerRequest
    from ._extensions.view import Redirect as Redirect, View as View
    from ._identity_assertion_policy import (
        IdentityAssertionPolicy as IdentityAssertionPolicy,
    )
    from ._keys.settings import KeySettings as KeySettings
    from ._lifetimes import Lifetimes as Lifetimes
    from ._login.interface import (
        Identity as Identity,
        LoginFailure as LoginFailure,
        LoginRedirect as LoginRedirect,
        LoginRequest as LoginRequest,
    )
    from ._login.settings import (
        OpenIDLogin as OpenIDLogin,
        PluginLogin as PluginLogin,
        SessionSettings as SessionSettings,
    )
    from ._resource import Resource as Resource
    from ._server import IssuerServer as IssuerServer, serve as serve
    from ._settings import IssuerSettings as IssuerSettings
    from ._storage.errors import (
        DatabaseBusyError as DatabaseBusyError,
        DatabaseCorruptError as DatabaseCorruptError,
        DatabaseError as DatabaseError,
        DatabaseForeignError as DatabaseForeignError,
        DatabaseFullError as DatabaseFullError,
        DatabaseReadOnlyError as DatabaseReadOnlyError,
        DatabaseUnreachableError as DatabaseUnreachableError,
    )
    from ._storage.plugin_records import Records as Records
    from ._storage.records import (
        AccessTokenRecord as AccessTokenRecord,
        LoginDetails as LoginDetails,
        RegisteredClient as RegisteredClient,
        TokenFamily as TokenFamily,
    )
    from ._storage.transaction import Transaction as Transaction
    from ._trust.trust_file import read_trusted_issuers as read_trusted_issuers
    from ._trust.trusted_issuer import TrustedIssuer as TrustedIssuer
    from ._trust.trusted_token import (
        RejectedToken as RejectedToken,
        TrustedToken as TrustedToken,
    )

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._aws_portal.accounts": "AwsAccount RoleCredentials",
            "._aws_portal.accounts_file": "read_accounts",
            "._browser_driver": "BrowserDriver",
            "grantway._types.grant": "IssuerGrant",
            "._clients.certificate_settings": "ClientCertificates",
            "grantway._types.issuer_plugins": "IssuerClientAuth IssuerExtension IssuerLogin",
            "._clients.document_settings": "ClientDocuments",
            "._decisions.decision": "GrantRequest Issue",
            "._decisions.randomness": "digest",
            "._extensions.additions": "Additions Endpoint Page",
            "._extensions.reply": "Reply",
            "._extensions.request": "IssuerRequest",
            "._extensions.view": "Redirect View",
            "._identity_assertion_policy": "IdentityAssertionPolicy",
            "._keys.settings": "KeySettings",
            "._login.interface": "Identity LoginFailure LoginRedirect LoginRequest",
            "._login.settings": "OpenIDLogin PluginLogin SessionSettings",
            "._resource": "Resource",
            "._server": "IssuerServer serve",
            "._lifetimes": "Lifetimes",
            "._settings": "IssuerSettings",
            "._storage.errors": """
                DatabaseBusyError
                DatabaseCorruptError
                DatabaseError
                DatabaseForeignError
                DatabaseFullError
                DatabaseReadOnlyError
                DatabaseUnreachableError
            """,
            "._storage.plugin_records": "Records",
            "._storage.records": "AccessTokenRecord LoginDetails RegisteredClient TokenFamily",
            "._storage.transaction": "Transaction",
            "._trust.trust_file": "read_trusted_issuers",
            "._trust.trusted_issuer": "TrustedIssuer",
            "._trust.trusted_token": "RejectedToken TrustedToken",
            "grantway_plugins.server._http.audit_event": "AuditEvent",
            "grantway_plugins.server._http.denial": "Denial",
            "grantway_plugins.server._http.headers": "Headers",
        },
    )
