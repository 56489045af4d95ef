"""Token stores: memory, file, key ring, Redis, SQL and an encrypting wrapper."""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .encrypted._keys import (
        generate_key as generate_key,
        rotate_key_in_ring as rotate_key_in_ring,
    )
    from .encrypted._store import EncryptedStore as EncryptedStore
    from .file._store import FileStore as FileStore
    from .keyring._store import KeyRingStore as KeyRingStore
    from .memory._store import MemoryStore as MemoryStore
    from .redis._store import RedisStore as RedisStore
    from .sql._store import SqlStore as SqlStore

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".encrypted._keys": "generate_key rotate_key_in_ring",
            ".encrypted._store": "EncryptedStore",
            ".file._store": "FileStore",
            ".keyring._store": "KeyRingStore",
            ".memory._store": "MemoryStore",
            ".redis._store": "RedisStore",
            ".sql._store": "SqlStore",
        },
    )
