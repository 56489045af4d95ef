"""What every store promises; a store's tests inherit these."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from grantway import Store, Token

SECRET = "rt-very-secret-0123456789"


class StoreContract:
    """Inherit, and give the store to be tested as the fixture ``store``."""

    def test_what_was_never_saved_is_none(self, store: Store) -> None:
        assert store.load("nobody") is None

    def test_a_token_comes_back_whole(self, store: Store) -> None:
        token = Token(
            "at", "DPoP", 3600, 1e9, SECRET, "id", ("read", "write"), {"authed_user": {"id": 7}}
        )
        store.save("key", token)
        assert store.load("key") == token

    def test_the_last_one_saved_counts(self, store: Store) -> None:
        for number in range(3):
            store.save("key", Token(f"at-{number}"))
        assert store.load("key") == Token("at-2")

    def test_keys_share_nothing(self, store: Store) -> None:
        keys = ["a", "A", "a ", "a/b", "a\nb", "\u00e4", ""]
        for key in keys:
            store.save(key, Token(f"at of {key!r}"))
        assert [store.load(key) for key in keys] == [Token(f"at of {key!r}") for key in keys]

    def test_what_was_deleted_is_gone_and_the_rest_is_not(self, store: Store) -> None:
        store.save("one", Token("at-1"))
        store.save("two", Token("at-2"))
        store.delete("one")
        store.delete("one")
        assert (store.load("one"), store.load("two")) == (None, Token("at-2"))

    def test_threads_read_what_one_of_them_wrote(self, store: Store) -> None:
        written = {Token(f"at-{number}") for number in range(8)}
        start = threading.Barrier(8)

        def work(token: Token) -> None:
            start.wait()
            for _ in range(200):
                store.save("key", token)
                assert store.load("key") in written

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, token) for token in written]:
                done.result()

    def test_it_shows_no_secret(self, store: Store) -> None:
        store.save("key", Token("at-very-secret-0123456789", refresh_token=SECRET))
        assert "very-secret" not in repr(store)
        assert "very-secret" not in str(store)
