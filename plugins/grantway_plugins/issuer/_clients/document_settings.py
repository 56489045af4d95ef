"""Settings for Client ID Metadata Documents."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value


@dataclass(frozen=True)
class ClientDocuments(Value):
    """Which Client ID Metadata Documents the issuer accepts.

    A client's id is then the URL of a JSON document with its metadata, so that it needs no
    registration (draft-ietf-oauth-client-id-metadata-document).

    Attributes:
        hosts: Hosts whose documents are accepted. None means every public host.
        private_hosts: Hosts that may be on a private network, or on this machine with http. Other
            hosts must be on the public internet, so that the issuer cannot be used to reach
            internal services.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    hosts: tuple[str, ...] | None = None
    private_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate the fields."""
        for name, hosts in (("hosts", self.hosts or ()), ("private_hosts", self.private_hosts)):
            if not isinstance(hosts, tuple) or not all(_is_host(each) for each in hosts):
                rule = "must be host names in lower case, like app.example.com"
                raise ConfigurationError(f"{name} {rule}", errors={name: [rule]})

    def accepts(self, host: str) -> bool:
        """Return whether documents of a host are accepted."""
        return self.hosts is None or host in self.hosts or host in self.private_hosts


def _is_host(host: object) -> bool:
    return (
        isinstance(host, str)
        and bool(host)
        and host.isascii()
        and host == host.lower()
        and not set(host) & set("/@ \\?#")
    )
