"""Ids of everything that the programs make."""

import os

from ulid import ULIDGenerator
from ulid.constants import RANDOMNESS_LEN

STORE = 256 * RANDOMNESS_LEN
"""Bytes fetched at a time: each call to the system lets go of the interpreter, and waits to get it back."""


class RandomBytes:
    """From the system, for one caller at a time."""

    def __init__(self) -> None:
        self._store, self._used = b"", 0

    def take(self, _time: int) -> bytes:
        if self._used >= len(self._store):
            self._store, self._used = os.urandom(STORE), 0
        self._used += RANDOMNESS_LEN
        return self._store[self._used - RANDOMNESS_LEN : self._used]


_ULIDS = ULIDGenerator(randomness=RandomBytes().take)


def new_id(kind: str) -> str:
    """`kind`_ and a ULID: unique, opaque, in the order of creation."""
    return f"{kind}_{_ULIDS.generate()}".lower()
