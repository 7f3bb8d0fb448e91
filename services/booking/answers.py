"""Idempotency: what was answered to a caller under a request_id is answered again, and nothing happens twice."""

import hashlib
from collections.abc import Collection
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy.engine import Connection

from services.platform.data.database import ForEach
from services.platform.serving import errors
from services.platform.text.messages import message

RequestKey = tuple[str, str]
"""Who asked (account id), and their request_id."""

Stored = tuple[bytes, bytes]
"""The hash of the request's body, and the serialized answer."""

Reply = TypeVar("Reply", bound=Message)


def body_hash(request: Message) -> bytes:
    """Tells one request from another, of another kind too."""
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()


_ANSWERS = ForEach(
    "SELECT actor, request_id, body_hash, response FROM answer WHERE {0}",
    "actor = :actor{0} AND request_id = :request{0}",
    " OR ",
    "actor",
    "request",
)


def read(connection: Connection, keys: Collection[RequestKey]) -> dict[RequestKey, Stored]:
    rows = _ANSWERS.execute(connection, keys)
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def row(key: RequestKey, body: bytes, answer: Message) -> dict[str, Any]:
    return {"actor": key[0], "request_id": key[1], "body_hash": body, "response": answer.SerializeToString()}


def replay(stored: Stored, body: bytes, kind: type[Reply]) -> Reply:
    """Raises errors.RpcError when the key was used with another body."""
    check_body(stored[0], body)
    return kind.FromString(bytes(stored[1]))


def check_body(stored: bytes, body: bytes) -> None:
    """Raises errors.RpcError when the key was used with another body."""
    if bytes(stored) != body:
        words = message("request_id was used before with another body: use a new one")
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", words)
