"""The tables of the configuration file, one per module."""

from grantway_plugins.issuer._config.table import IssuerTable

from .aws_portal import AwsPortalTable
from .client_certificates import ClientCertificatesTable
from .client_documents import ClientDocumentsTable
from .database import DatabaseTable
from .identity import IdentityTable
from .identity_assertion import IdentityAssertionTable
from .keys import KeysTable
from .lifetimes import LifetimesTable
from .limits import LimitsTable
from .login import LoginTable
from .metrics import MetricsTable
from .registration import RegistrationTable
from .resource import ResourceTable
from .security import SecurityTable
from .server import ServerTable
from .sessions import SessionsTable
from .tls import TlsTable
from .trusted_issuer import TrustedIssuerTable

TABLES: tuple[type[IssuerTable], ...] = (
    IdentityTable,
    ServerTable,
    TlsTable,
    MetricsTable,
    DatabaseTable,
    RegistrationTable,
    KeysTable,
    LoginTable,
    SessionsTable,
    LifetimesTable,
    LimitsTable,
    SecurityTable,
    ResourceTable,
    ClientCertificatesTable,
    ClientDocumentsTable,
    TrustedIssuerTable,
    IdentityAssertionTable,
    AwsPortalTable,
)
