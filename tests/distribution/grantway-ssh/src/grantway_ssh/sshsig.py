"""The parts of an SSHSIG signature that asyncssh does not check (PROTOCOL.sshsig)."""

from __future__ import annotations

_HEADER = b"SSHSIG\x00\x00\x00\x01"
_HASHES = frozenset({b"sha256", b"sha512"})


def namespace_of(signature: bytes) -> str | None:
    """Return the namespace of a signature, or None if it is invalid or made with SHA-1.

    asyncssh accepts each namespace that the list of allowed signers does not exclude, and RSA
    signatures with SHA-1, which ssh-keygen rejects.
    """
    if not signature.startswith(_HEADER):
        return None
    try:
        _key, namespace, _reserved, hash_name, made = _strings(signature[len(_HEADER) :])
        algorithm = _strings(made)[0]
        valid = hash_name in _HASHES and algorithm != b"ssh-rsa"
        return namespace.decode() if valid else None
    except (ValueError, IndexError):
        return None


def _strings(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    while data:
        end = 4 + int.from_bytes(data[:4])
        if len(data) < end:
            raise ValueError
        found.append(data[4:end])
        data = data[end:]
    return found
