"""What a sign-in needs to know when the issuer answers, and what was typed before it: sealed, and kept by the browser.

We keep nothing of anybody who is not signed in: what strangers could fill, others would need.
"""

import base64
import hashlib
import hmac
import os
import zlib
from dataclasses import dataclass
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import TypeAdapter, ValidationError

from services.portal.oidc import Challenge

T = TypeVar("T")

ATTEMPT_SECONDS = 30 * 60
LONGEST_COOKIE = 3800
"""Browsers keep 4096 bytes of name and value."""
SALT_BYTES = 16
ONCE = bytes(12)
"""The nonce of a key that encrypts one thing."""
HARD = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
"""Trying client secrets on what was sealed costs a twentieth of a second each, and 32 MB (scrypt)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What somebody typed, kept over a sign-in."""

    path: str
    fields: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in; `begin_time` in epoch seconds."""

    challenge: Challenge
    next_path: str
    form: Form | None
    begin_time: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A form after the sign-in; `begin_time` is that of the attempt, in epoch seconds."""

    form: Form
    begin_time: float


def to_key(secret: str) -> bytes:
    """The same in every replica, and after a restart; a random one where there is no secret (development)."""
    return hashlib.scrypt(secret.encode(), salt=b"yunhui sign-in", **HARD) if secret else os.urandom(64)


class Seal(Generic[T]):
    """Records of one kind as text for a cookie, which nobody else can read or make."""

    def __init__(self, key: bytes, kind: type[T]) -> None:
        self._key = key
        self._kind = kind.__name__.encode()
        self._form: TypeAdapter[T] = TypeAdapter(kind)

    def close(self, record: T) -> str:
        """ "" when it is too long for a cookie."""
        salt = os.urandom(SALT_BYTES)
        plain = zlib.compress(self._form.dump_json(record))
        text = base64.urlsafe_b64encode(salt + self._cipher(salt).encrypt(ONCE, plain, self._kind)).decode()
        return text.rstrip("=") if len(text) <= LONGEST_COOKIE else ""

    def open(self, text: str) -> T | None:
        """None for what we have not sealed, or another version of this program has."""
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            salt = sealed[:SALT_BYTES]
            plain = self._cipher(salt).decrypt(ONCE, sealed[SALT_BYTES:], self._kind)
            return self._form.validate_json(zlib.decompress(plain))
        except (InvalidTag, ValueError, ValidationError):
            return None

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._key, salt, "sha256"))
