"""Events that could not be read or written: kept with the reason until a person settles them. Here is their SQL."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.notifier.models import DeadEvent, DeadEventState
from services.platform.clock import to_timestamp
from services.platform.serving import errors

TABLE = SQLModel.metadata.tables[str(DeadEvent.__tablename__)]
SUBJECT_PREFIX = "yunhui.dead.notifier."
MOST_PAYLOAD = 900_000
"""Bytes of it in the stream, where the reason must fit in too; the table keeps all."""


def store(
    connection: Connection,
    event_id: str,
    subject: str,
    headers: Mapping[str, str],
    payload: bytes,
    reason: str,
    now: int,
) -> None:
    row = {"dead_event_id": event_id, "subject": subject, "headers": json.dumps(dict(headers)), "payload": payload}
    state = {"reason": reason, "state": DeadEventState.OPEN, "actor": "", "note": ""}
    connection.execute(sa.insert(TABLE).values(**row, **state, create_time=now, update_time=now))


def stream_subject(subject: str) -> str:
    return SUBJECT_PREFIX + subject.removeprefix("yunhui.")


def stream_headers(event_id: str, sequence: int, headers: Mapping[str, str], reason: str) -> dict[str, str]:
    """The original ones, except those by which the bus itself is steered."""
    original = {name: value for name, value in headers.items() if not name.lower().startswith("nats-")}
    own = {"Nats-Msg-Id": f"dead.{event_id}", "dead-reason": reason, "dead-stream-sequence": str(sequence)}
    return original | own


def get(connection: Connection, dead_event_id: str) -> sa.Row[Any]:
    """Raises errors.not_found."""
    row = connection.execute(sa.select(TABLE).where(TABLE.c.dead_event_id == dead_event_id)).one_or_none()
    if row is None:
        raise errors.not_found("dead event", "没有这个无法处理的事件")
    return row


def lock_open(connection: Connection, dead_event_id: str) -> sa.Row[Any]:
    """Nobody else settles it before the end of the transaction. Raises errors.RpcError when it is settled already."""
    connection.execute(sa.select(TABLE.c.dead_event_id).where(TABLE.c.dead_event_id == dead_event_id).with_for_update())
    return get_open(connection, dead_event_id)


def get_open(connection: Connection, dead_event_id: str) -> sa.Row[Any]:
    """Raises errors.RpcError when it is settled already."""
    row = get(connection, dead_event_id)
    if row.state != DeadEventState.OPEN:
        words = f"it was {row.state} by {row.actor} already", f"{row.actor} 已处理（{row.state}）"
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DEAD_EVENT_SETTLED", *words)
    return row


def update(connection: Connection, dead_event_id: str, now: int, **values: str) -> None:
    mine = TABLE.c.dead_event_id == dead_event_id
    connection.execute(sa.update(TABLE).where(mine).values(**values, update_time=now))


def list_page(connection: Connection, state: str, before: tuple[int, str] | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Newest first."""
    key = sa.tuple_(TABLE.c.create_time, TABLE.c.dead_event_id)
    query = sa.select(TABLE).where(TABLE.c.state == state)
    query = query.order_by(TABLE.c.create_time.desc(), TABLE.c.dead_event_id.desc()).limit(limit)
    if before:
        query = query.where(key < sa.tuple_(sa.literal(before[0]), sa.literal(before[1])))
    return connection.execute(query).all()


def headers_of(row: sa.Row[Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(row.headers).items()}


def to_message(row: sa.Row[Any]) -> api.DeadEvent:
    return api.DeadEvent(
        dead_event_id=row.dead_event_id,
        subject=row.subject,
        reason=row.reason,
        state=api.DeadEventState.Value(f"DEAD_EVENT_STATE_{row.state.upper()}"),
        create_time=to_timestamp(row.create_time),
        actor=row.actor,
        note=row.note,
        update_time=to_timestamp(row.update_time),
    )
