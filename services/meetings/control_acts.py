"""Acts of control as they are stored: under way before the provider is asked, then what became of them, with the event
and the entry of the audit log that tell of it. One outcome each, whoever comes first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select
from yunhui.meetings.v1 import control_service_pb2 as pb
from yunhui.meetings.v1 import events_pb2 as events

from services.meetings import heard, ledger, rendering
from services.meetings.ledger_models import ControlActRow
from services.meetings.orders import SteeringOrder
from services.meetings.provider import AwayError, MeetingKey
from services.meetings.steering import End
from services.meetings.webhook_events import next_number
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors, pages
from services.platform.text.messages import message

DONE, REFUSED, UNKNOWN = "DONE", "REFUSED", "UNKNOWN"
UNDER_WAY = ""
EVENTS = {DONE: "done", REFUSED: "refused", UNKNOWN: "unknown"}
"""The last word of the event's subject."""
LONGEST_MESSAGE = 500
SETTLED_AT_ONCE = 50
PROVIDER_AWAY = AwayError.reason


@dataclass(frozen=True, slots=True)
class ActOutcome:
    """`refusal` and `provider_message` as in the contract."""

    outcome: str
    refusal: str = ""
    provider_message: str = ""


ABANDONED = ActOutcome(UNKNOWN, PROVIDER_AWAY, "")


def begin(
    connection: Connection,
    order: SteeringOrder,
    caller: audit.Caller,
    people: Sequence[str],
    creator: str,
    now: int,
    patience: int,
) -> ControlActRow:
    """Stores it as under way. Nobody can be doing the same: of two at once one fails at the index.

    `patience`: ms after which whoever did it is gone.
    """
    row = ControlActRow(
        act_id=new_id("act"),
        actor=caller.account_id,
        roles=" ".join(sorted(caller.roles)),
        method=caller.method,
        request_id=order.request_id,
        order_hash=order.body_hash,
        provider=order.meeting.provider,
        meeting_id=order.meeting.meeting_id,
        sub_meeting_id=order.meeting.sub_meeting_id,
        creator=creator,
        verb=rendering.VERBS[type(order.act)],
        outcome=UNDER_WAY,
        reason=order.reason,
        people=json.dumps([*people], ensure_ascii=False),
        create_time=now,
        give_up_time=outbox.real_time() + patience,
    )
    with open_session(connection) as session:
        session.add(row)
    return row


def earlier(connection: Connection, actor: str, order: SteeringOrder) -> ControlActRow | None:
    """What came of the same request before. Raises ALREADY_EXISTS when it was another one."""
    same = select(ControlActRow).where(ControlActRow.actor == actor, ControlActRow.request_id == order.request_id)
    with open_session(connection) as session:
        row = session.exec(same).one_or_none()
    if row is not None and bytes(row.order_hash) != order.body_hash:
        words = message("request_id was used before with another body: use a new one")
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", words)
    return row


def finish(connection: Connection, act_id: str, outcome: ActOutcome, now: int) -> ControlActRow:
    """Unless it has an outcome already, which stays."""
    ledger.lock(connection)
    with open_session(connection) as session:
        wanted = select(ControlActRow).where(ControlActRow.act_id == act_id).with_for_update()
        row = session.exec(wanted).one()
        if row.outcome == UNDER_WAY:
            entry = _settle(session, row, outcome, now)
            audit.append(connection, [entry])
    return row


def finish_abandoned(connection: Connection, now: int) -> int:
    """Those whose process has gone: nobody knows what became of them. How many there were."""
    ledger.lock(connection)
    with open_session(connection) as session:
        gone = select(ControlActRow).where(
            ControlActRow.outcome == UNDER_WAY, ControlActRow.give_up_time < outbox.real_time()
        )
        rows = session.exec(gone.limit(SETTLED_AT_ONCE).with_for_update()).all()
        entries = [_settle(session, row, ABANDONED, now) for row in rows]
        audit.append(connection, entries)
    return len(rows)


def are_abandoned(connection: Connection) -> bool:
    gone = select(ControlActRow.act_id).where(
        ControlActRow.outcome == UNDER_WAY, ControlActRow.give_up_time < outbox.real_time()
    )
    return connection.scalar(gone.limit(1)) is not None


def is_abandoned(row: ControlActRow) -> bool:
    return row.outcome == UNDER_WAY and row.give_up_time < outbox.real_time()


def _settle(session: Session, row: ControlActRow, outcome: ActOutcome, now: int) -> audit.AuditEntry:
    """The row, and the event, and a meeting that was ended; the entry is for the end of the transaction."""
    row.outcome, row.refusal = outcome.outcome, outcome.refusal
    row.provider_message = ledger.clean(outcome.provider_message)[:LONGEST_MESSAGE]
    row.finish_time = max(now, row.create_time)
    session.add(row)
    key = rendering.key_of(row)
    if outcome.outcome == DONE and row.verb == rendering.VERBS[End]:
        heard.was_ended(session, key, now)
    number = next_number(session, key)
    session.flush()
    outbox.append(session.connection(), [_event(row, key, number, now)])
    caller = audit.Caller(row.actor, frozenset(row.roles.split()), row.method)
    detail = {"act_id": row.act_id, "verb": row.verb, **({"refusal": row.refusal} if row.refusal else {})}
    return audit.AuditEntry(caller, "meeting", key.entity_id, row.creator, row.outcome, detail)


def _event(row: ControlActRow, key: MeetingKey, number: int, now: int) -> Event:
    payload = events.ControlEvent(
        meeting=rendering.to_key(key),
        act_id=row.act_id,
        verb=rendering.verb(row.verb),
        actor_account_id=row.actor,
        refusal=row.refusal,
        act_time=to_timestamp(row.create_time),
    )
    subject = f"yunhui.meetings.control.{EVENTS[row.outcome]}"
    return Event(new_id("evt"), subject, key.entity_id, number, now, to_json(payload))


def list_(connection: Connection, key: MeetingKey, size: int, token: str) -> pb.ListControlActsResponse:
    """The newest first. Raises NOT_FOUND, errors.invalid."""
    place = (col(ControlActRow.create_time), col(ControlActRow.act_id))
    of_it = select(ControlActRow).where(
        ControlActRow.provider == key.provider,
        ControlActRow.meeting_id == key.meeting_id,
        ControlActRow.sub_meeting_id == key.sub_meeting_id,
    )
    if position := pages.from_token(token):
        of_it = of_it.where(sa.tuple_(*place) < sa.tuple_(*position))
    with open_session(connection) as session:
        rows = session.exec(of_it.order_by(*(each.desc() for each in place)).limit(size + 1)).all()
    last = rows[size - 1] if len(rows) > size else None
    return pb.ListControlActsResponse(
        acts=[rendering.to_act(row) for row in rows[:size]],
        next_page_token=pages.to_token(last.create_time, last.act_id) if last else "",
    )
