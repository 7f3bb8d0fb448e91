"""Acts upon recordings as they are stored: under way before the provider is asked, then what became of them, with the
event and the entry of the audit log that tell of it. One outcome each, whoever comes first.
"""

from collections.abc import Collection, Sequence
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select
from yunhui.meetings.v1 import events_pb2 as events

from services.meetings import ledger, recording_rendering, rendering
from services.meetings.control_acts import ABANDONED, DONE, LONGEST_MESSAGE, SETTLED_AT_ONCE, UNDER_WAY, ActOutcome
from services.meetings.ledger_models import MeetingRow
from services.meetings.provider import MeetingKey
from services.meetings.recording_models import RecordingActRow
from services.meetings.recording_requests import Delete, RecordingOrder, Share, to_id
from services.meetings.recordings import Recording, RecordingKey
from services.meetings.webhook_events import next_number
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors
from services.platform.text.messages import message

EVENTS = {Delete.verb: "deleted", Share.verb: "shared"}
"""The last word of the event's subject, of what was done."""
SHOWN = 50


def begin(
    connection: Connection,
    order: RecordingOrder,
    caller: audit.Caller,
    recording: Recording,
    now: int,
    patience: int,
) -> RecordingActRow:
    """Stores it as under way. Of two with the same request at once one fails at the index.

    `patience`: ms after which whoever did it is gone.
    """
    key, what = order.key, order.what
    row = RecordingActRow(
        act_id=new_id("act"),
        actor=caller.account_id,
        roles=" ".join(sorted(caller.roles)),
        method=caller.method,
        request_id=order.request_id,
        order_hash=order.body_hash,
        provider=key.provider,
        meeting_id=key.meeting_id,
        recording_id=key.recording_id,
        start_time=key.start_time,
        file_id=what.file_id,
        meeting_code=recording.meeting_code,
        subject=ledger.clean(recording.subject),
        creator=recording.creator,
        verb=what.verb,
        audience=what.audience,
        outcome=UNDER_WAY,
        reason=order.reason,
        create_time=now,
        give_up_time=outbox.real_time() + patience,
    )
    with open_session(connection) as session:
        session.add(row)
    return row


def earlier(connection: Connection, actor: str, order: RecordingOrder) -> RecordingActRow | None:
    """What came of the same request before. Raises ALREADY_EXISTS when it was another one."""
    same = select(RecordingActRow).where(RecordingActRow.actor == actor, RecordingActRow.request_id == order.request_id)
    with open_session(connection) as session:
        row = session.exec(same).one_or_none()
    if row is not None and bytes(row.order_hash) != order.body_hash:
        words = message("request_id was used before with another body: use a new one")
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", words)
    return row


def is_abandoned(row: RecordingActRow) -> bool:
    return row.outcome == UNDER_WAY and row.give_up_time < outbox.real_time()


def finish(connection: Connection, act_id: str, outcome: ActOutcome, now: int) -> RecordingActRow:
    """Unless it has an outcome already, which stays."""
    ledger.lock(connection)
    with open_session(connection) as session:
        wanted = select(RecordingActRow).where(RecordingActRow.act_id == act_id).with_for_update()
        row = session.exec(wanted).one()
        if row.outcome == UNDER_WAY:
            audit.append(connection, [_settle(session, row, outcome, now)])
    return row


def finish_abandoned(connection: Connection, now: int) -> int:
    """Those whose process has gone: nobody knows what became of them. How many there were."""
    ledger.lock(connection)
    with open_session(connection) as session:
        rows = session.exec(_abandoned().limit(SETTLED_AT_ONCE).with_for_update()).all()
        audit.append(connection, [_settle(session, row, ABANDONED, now) for row in rows])
    return len(rows)


def are_abandoned(connection: Connection) -> bool:
    with open_session(connection) as session:
        return session.exec(_abandoned().limit(1)).first() is not None


def _abandoned() -> Any:
    return select(RecordingActRow).where(
        RecordingActRow.outcome == UNDER_WAY, RecordingActRow.give_up_time < outbox.real_time()
    )


def _settle(session: Session, row: RecordingActRow, outcome: ActOutcome, now: int) -> audit.AuditEntry:
    """The row, and its event unless the same was told before; the entry is for the end of the transaction."""
    told = row.verb == Delete.verb and _was_deleted(session, row)
    row.outcome, row.refusal = outcome.outcome, outcome.refusal
    row.provider_message = ledger.clean(outcome.provider_message)[:LONGEST_MESSAGE]
    row.finish_time = max(now, row.create_time)
    session.add(row)
    session.flush()
    if row.outcome == DONE and not told:
        number = next_number(session, _meeting(row))
        outbox.append(session.connection(), [_event(row, number, now)])
    caller = audit.Caller(row.actor, frozenset(row.roles.split()), row.method)
    more = {"file_id": row.file_id, "audience": row.audience, "refusal": row.refusal}
    detail = {"act_id": row.act_id, "verb": row.verb, **{name: value for name, value in more.items() if value}}
    target = to_id(recording_rendering.key_of(row))
    return audit.AuditEntry(caller, "recording", target, row.creator, row.outcome, detail)


def _was_deleted(session: Session, row: RecordingActRow) -> bool:
    """All of it, or the same file: two who delete at once do it once."""
    done = _of(recording_rendering.key_of(row)).where(
        RecordingActRow.verb == Delete.verb,
        RecordingActRow.outcome == DONE,
        col(RecordingActRow.file_id).in_(("", row.file_id)),
    )
    return session.exec(done.limit(1)).first() is not None


def _meeting(row: RecordingActRow) -> MeetingKey:
    return MeetingKey(row.provider, row.meeting_id)


def _event(row: RecordingActRow, number: int, now: int) -> Event:
    payload = events.RecordingEvent(
        recording_id=to_id(recording_rendering.key_of(row)),
        meeting=rendering.to_key(_meeting(row)),
        act_id=row.act_id,
        creator_account_id=row.creator,
        actor_account_id=row.actor,
        file_id=row.file_id,
        audience=recording_rendering.audience(row.audience),
        act_time=to_timestamp(row.create_time),
    )
    subject = f"yunhui.meetings.recording.{EVENTS[row.verb]}"
    return Event(new_id("evt"), subject, _meeting(row).entity_id, number, now, to_json(payload))


def _of(key: RecordingKey) -> Any:
    return select(RecordingActRow).where(
        RecordingActRow.provider == key.provider,
        RecordingActRow.meeting_id == key.meeting_id,
        RecordingActRow.recording_id == key.recording_id,
    )


def of_recording(connection: Connection, key: RecordingKey) -> Sequence[RecordingActRow]:
    """What was done to it, the newest first."""
    newest = (col(RecordingActRow.create_time).desc(), col(RecordingActRow.act_id).desc())
    with open_session(connection) as session:
        found: Sequence[RecordingActRow] = session.exec(_of(key).order_by(*newest).limit(SHOWN)).all()
    return found


def deletion(connection: Connection, key: RecordingKey) -> RecordingActRow | None:
    """The act that deleted all of it."""
    whole = _of(key).where(
        RecordingActRow.verb == Delete.verb, RecordingActRow.outcome == DONE, RecordingActRow.file_id == ""
    )
    with open_session(connection) as session:
        found: RecordingActRow | None = session.exec(whole.order_by(col(RecordingActRow.create_time)).limit(1)).first()
    return found


def creators(connection: Connection, provider: str, meeting_ids: Collection[str]) -> dict[str, str]:
    """Who made which meeting, by its id, as far as the ledger knows."""
    known = select(MeetingRow.meeting_id, MeetingRow.creator).where(
        MeetingRow.provider == provider, col(MeetingRow.meeting_id).in_(meeting_ids), MeetingRow.creator != ""
    )
    with open_session(connection) as session:
        return dict(session.exec(known).all())


def times(connection: Connection, key: MeetingKey) -> tuple[int, int] | None:
    """From when to when the meeting was held, all its occurrences or the one that is named; None if not known."""
    of_it = select(sa.func.min(MeetingRow.begin_time), sa.func.max(MeetingRow.over_time)).where(
        MeetingRow.provider == key.provider, MeetingRow.meeting_id == key.meeting_id
    )
    if key.sub_meeting_id:
        of_it = of_it.where(MeetingRow.sub_meeting_id == key.sub_meeting_id)
    with open_session(connection) as session:
        first, last = session.exec(of_it).one()
    return (int(first), int(last)) if first else None
