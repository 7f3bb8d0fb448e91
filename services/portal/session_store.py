"""Secrets' records on the bus: a bucket of JetStream that every replica reads, in a form that nobody else can.

What identifies a record to the browser is the key that encrypts it: the bucket knows only its hash, so that neither the
bucket's files nor whoever may read them opens a session.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import nats.errors
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import TypeAdapter, ValidationError

from services.platform.messaging import bus
from services.platform.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

BUCKET = "portal_sessions"
PATIENCE_SECONDS = 3.0
NONCE_BYTES = 12


class StoreAwayError(Exception):
    """The bus does not answer: nobody can be recognized now."""


class Bucket:
    """The connection to the bus, made in the background: pages can say that it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._values: KeyValue | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        connecting = asyncio.create_task(self._connect())
        try:
            yield
        finally:
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting
            if self._client:
                await bus.close(self._client)

    async def _connect(self) -> None:
        self._client = await bus.connect(self._settings, "portal")

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    def client(self) -> Client:
        """Raises StoreAwayError while there is no connection: what is asked now would wait for nobody."""
        if self._client is None or not self._client.is_connected:
            raise StoreAwayError("not connected")
        return self._client

    async def values(self) -> KeyValue:
        """Raises StoreAwayError."""
        if self._client is None:
            raise StoreAwayError("not connected yet")
        if self._values is None:
            self._values = await self._client.jetstream(timeout=PATIENCE_SECONDS).key_value(BUCKET)
        return self._values


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        yield
    except (TimeoutError, nats.errors.Error) as error:
        log.error("the sessions' bucket %s does not answer: %s", BUCKET, type(error).__name__)
        raise StoreAwayError(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A record, and which of its versions it is."""

    record: T
    revision: int


class Store(Generic[T]):
    """Records of one kind, each under a secret of its own. Every method raises StoreAwayError."""

    def __init__(self, bucket: Bucket, kind: type[T]) -> None:
        self._bucket = bucket
        self._kind = kind.__name__
        self._form: TypeAdapter[T] = TypeAdapter(kind)

    async def create(self, record: T) -> str:
        """Returns the secret: 256 random bits, as text for a cookie."""
        secret = secrets.token_urlsafe(32)
        async with _reached():
            await (await self._bucket.values()).create(self._name(secret), self._seal(secret, record))
        return secret

    async def read(self, secret: str) -> Stored[T] | None:
        if not secret:
            return None
        async with _reached():
            try:
                entry = await (await self._bucket.values()).get(self._name(secret))
            except KeyNotFoundError:
                return None
        record = self._unseal(secret, entry.value or b"")
        return None if record is None else Stored(record, int(entry.revision or 0))

    async def replace(self, secret: str, stored: Stored[T], record: T) -> Stored[T] | None:
        """None when somebody else has replaced or removed it since: a record that was removed never comes back."""
        sealed = self._seal(secret, record)
        async with _reached():
            try:
                revision = await (await self._bucket.values()).update(self._name(secret), sealed, last=stored.revision)
            except KeyWrongLastSequenceError:
                return None
        return Stored(record, revision)

    async def remove(self, secret: str) -> None:
        if secret:
            async with _reached():
                await (await self._bucket.values()).purge(self._name(secret))

    def _name(self, secret: str) -> str:
        return self._derive("name", secret).hex()

    def _derive(self, purpose: str, secret: str) -> bytes:
        return hashlib.sha256(f"{self._kind} {purpose} {secret}".encode()).digest()

    def _seal(self, secret: str, record: T) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._derive("key", secret)).encrypt(nonce, self._form.dump_json(record), None)

    def _unseal(self, secret: str, sealed: bytes) -> T | None:
        try:
            plain = AESGCM(self._derive("key", secret)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
            return self._form.validate_json(plain)
        except (InvalidTag, ValueError, ValidationError):  # of another version of this program, for example
            return None
