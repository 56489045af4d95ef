"""The scenarios of the npm package @modelcontextprotocol/conformance that concern authorization.

Each scenario runs at every version of the protocol that it lists, because its checks differ. A test
compares these lists with those of the installed package, so that no scenario of a newer package is
left out.
"""

from __future__ import annotations

#: A scenario of an extension has no version.
EXTENSION = "extension"
_NEW = ("2026-07-28",)
_BOTH = ("2025-11-25", "2026-07-28")
_SINCE_JUNE = ("2025-06-18", "2025-11-25", "2026-07-28")
#: The versions of the protocol, all of which have authorization.
VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
_OLD = ("2025-03-26",)

#: Versions of the protocol by scenario: those for clients whose names start with ``auth/``.
CLIENT = {
    "metadata-default": _BOTH,
    "metadata-var1": _BOTH,
    "metadata-var2": _BOTH,
    "metadata-var3": _BOTH,
    "metadata-issuer-mismatch": _NEW,
    "basic-cimd": _BOTH,
    "pre-registration": _BOTH,
    "scope-from-www-authenticate": _BOTH,
    "scope-from-scopes-supported": _BOTH,
    "scope-omitted-when-undefined": _BOTH,
    "scope-step-up": _BOTH,
    "scope-retry-limit": _BOTH,
    "offline-access-scope": _NEW,
    "offline-access-not-supported": _NEW,
    "token-endpoint-auth-basic": _SINCE_JUNE,
    "token-endpoint-auth-post": _SINCE_JUNE,
    "token-endpoint-auth-none": _SINCE_JUNE,
    "resource-mismatch": _NEW,
    "authorization-server-migration": _NEW,
    "iss-supported": _NEW,
    "iss-not-advertised": _NEW,
    "iss-supported-missing": _NEW,
    "iss-wrong-issuer": _NEW,
    "iss-unexpected": _NEW,
    "iss-normalized": _NEW,
    "client-credentials-jwt": (EXTENSION,),
    "client-credentials-basic": (EXTENSION,),
    "enterprise-managed-authorization": (EXTENSION,),
    "dpop": (EXTENSION,),
    "dpop-nonce": (EXTENSION,),
    "wif-jwt-bearer": (EXTENSION,),
    "2025-03-26-oauth-metadata-backcompat": _OLD,
    "2025-03-26-oauth-endpoint-fallback": _OLD,
}

#: All scenarios for authorization servers.
AUTHORIZATION_SERVER = {
    "authorization-server-metadata-endpoint": VERSIONS,
    "authorization-code-grant": VERSIONS,
}


def runs(scenarios: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return each pair of a scenario and a version."""
    return [(name, version) for name, versions in scenarios.items() for version in versions]
