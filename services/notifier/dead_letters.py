"""Events that could not be read or written: kept with the reason until a person settles them. Here is their SQL."""

import json
from collections.abc import Mapping, Sequence

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.notifier.models import DeadEvent, DeadEventState
from services.platform.clock import to_timestamp
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import message

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
    dead_event = DeadEvent(
        dead_event_id=event_id,
        subject=subject,
        headers=json.dumps(dict(headers)),
        payload=payload,
        reason=reason,
        create_time=now,
        update_time=now,
    )
    with open_session(connection) as session:
        session.add(dead_event)


def stream_subject(subject: str) -> str:
    return SUBJECT_PREFIX + subject.removeprefix("yunhui.")


def stream_headers(event_id: str, sequence: int, headers: Mapping[str, str], reason: str) -> dict[str, str]:
    """The original ones, except those by which the bus itself is steered."""
    original = {name: value for name, value in headers.items() if not name.lower().startswith("nats-")}
    own = {"Nats-Msg-Id": f"dead.{event_id}", "dead-reason": reason, "dead-stream-sequence": str(sequence)}
    return original | own


def get(connection: Connection, dead_event_id: str) -> DeadEvent:
    """Raises errors.not_found."""
    with open_session(connection) as session:
        return _found(session.get(DeadEvent, dead_event_id))


def get_open(connection: Connection, dead_event_id: str) -> DeadEvent:
    """Raises errors.RpcError when it is settled already."""
    return _still_open(get(connection, dead_event_id))


def lock_open(session: Session, dead_event_id: str) -> DeadEvent:
    """Nobody else settles it before the end of the transaction. Raises errors.RpcError when it is settled already."""
    return _still_open(_found(session.get(DeadEvent, dead_event_id, with_for_update=True)))


def _found(dead_event: DeadEvent | None) -> DeadEvent:
    if dead_event is None:
        raise errors.not_found("dead event", message("there is no such dead event"))
    return dead_event


def _still_open(dead_event: DeadEvent) -> DeadEvent:
    if dead_event.state != DeadEventState.OPEN:
        state, actor = dead_event.state, dead_event.actor
        words = message("it was {state} by {actor} already", state=state, actor=actor)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DEAD_EVENT_SETTLED", words)
    return dead_event


def list_page(connection: Connection, state: str, before: tuple[int, str] | None, limit: int) -> Sequence[DeadEvent]:
    """Newest first."""
    created, own_id = col(DeadEvent.create_time), col(DeadEvent.dead_event_id)
    page = select(DeadEvent).where(DeadEvent.state == state).order_by(created.desc(), own_id.desc()).limit(limit)
    if before:
        page = page.where(sa.tuple_(created, own_id) < sa.tuple_(sa.literal(before[0]), sa.literal(before[1])))
    with open_session(connection) as session:
        return session.exec(page).all()


def headers_of(row: DeadEvent) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(row.headers).items()}


def to_message(row: DeadEvent) -> api.DeadEvent:
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
