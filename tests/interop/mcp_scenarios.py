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

#: All scenarios for authorization servers, which run with each kind of client.
AUTHORIZATION_SERVER = {
    "authorization-server-metadata-endpoint": VERSIONS,
    "authorization-code-grant": VERSIONS,
}

CLIENT_KINDS = ("registered", "document")
_SESSIONS = ("2025-06-18", "2025-11-25")

#: The scenarios for servers that depend on how a gateway forwards: sessions, event streams,
#: requests of the server, headers, and rejected hosts.
SERVER = {
    "server-initialize": _SESSIONS,
    "server-session-lifecycle": ("2025-03-26", *_SESSIONS),
    "ping": _SESSIONS,
    "tools-list": _SINCE_JUNE,
    "tools-call-simple-text": _SINCE_JUNE,
    "tools-call-error": _SINCE_JUNE,
    "tools-call-with-progress": _SINCE_JUNE,
    "tools-call-sampling": _SESSIONS,
    "tools-call-elicitation": _SESSIONS,
    "server-sse-polling": ("2025-11-25",),
    "server-sse-multiple-streams": _BOTH,
    "dns-rebinding-protection": _BOTH,
    "http-header-validation": _NEW,
}

#: Starts of the names of the other scenarios for servers, which are about features of MCP servers
#: and not about HTTP.
FEATURES = (
    "caching",
    "completion-",
    "elicitation-",
    "http-custom-header-",
    "input-required-result-",
    "json-schema-",
    "logging-",
    "prompts-",
    "resources-",
    "sep-2164-",
    "sep-2640-",
    "server-stateless",
    "tasks-",
    "tools-call-audio",
    "tools-call-embedded-",
    "tools-call-image",
    "tools-call-mixed-",
    "tools-call-with-logging",
)


def runs(scenarios: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return each pair of a scenario and a version."""
    return [(name, version) for name, versions in scenarios.items() for version in versions]
