"""Events to feed the notifier with: one account, one meeting, the moments that matter."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import (
    OBJECTION_OUTCOME_DISMISSED,
    OBJECTION_OUTCOME_OPEN,
    RESERVATION_STATE_CANCELLED,
    RESERVATION_STATE_CONFIRMED,
    RESERVATION_STATE_DECLINED,
    RESERVATION_STATE_EXPIRED,
    RESERVATION_STATE_NO_SHOW,
    RESERVATION_STATE_PENDING_APPROVAL,
    Objection,
    Organizer,
    Reservation,
    Room,
    Suspension,
    Violation,
)
from yunhui.policy.v1.decision_pb2 import (
    Decision,
    FiredRule,
    LocalizedText,
    Obligation,
    QuotaUsage,
)

from services.notifier.events import PREFIX, BookingEvent, parse
from services.notifier.values import Digest, Letterhead, OpenCase
from services.platform.clock import from_timestamp, to_timestamp

NOW = "2025-07-14T01:00:00Z"  # Monday 09:00 in Beijing
BOOKER = "booker@example.org"
COLLEAGUE = "colleague@example.org"
SUPPORT = "support@example.org"
LETTERHEAD = Letterhead(
    "noreply@yunhui.example.org", "https://yunhui.example.org", ZoneInfo("Asia/Shanghai"), support=SUPPORT
)


def time(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


def organizer(locale: str = "zh-CN", **changes: Any) -> Organizer:
    name = "Booker" if locale == "en" else "预约人"
    values = {"account_id": "account-1", "display_name": name, "email": BOOKER, "locale": locale}
    return Organizer(**{**values, "department": "Computing" if locale == "en" else "计算中心", **changes})


def reservation(who: Organizer | None = None, **changes: Any) -> Reservation:
    values: dict[str, Any] = {
        "reservation_id": "reservation-1",
        "version": 1,
        "state": RESERVATION_STATE_CONFIRMED,
        "organizer": who or organizer(),
        "created_by": "account-1",
        "meeting_code": "123456789",
        "subject": "项目周例会",
        "start_time": time("2025-07-14T06:00:00Z"),
        "end_time": time("2025-07-14T07:30:00Z"),
        "participant_count": 12,
        "room": Room(room_id="room-20", display_name="20 方云会议室", capacity=20, enabled=True),
        "release_time": time("2025-07-14T06:30:00Z"),
        **changes,
    }
    return Reservation(**{name: value for name, value in values.items() if value is not None})


def rule(rule_id: str, zh_cn: str, en: str) -> FiredRule:
    return FiredRule(rule_id=rule_id, reason=LocalizedText(zh_cn=zh_cn, en=en))


def confirmed(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    quotas = [
        QuotaUsage(
            rule_id="DAILY_QUOTA",
            limit=3,
            used=0,
            period_start=time("2025-07-13T16:00:00Z"),
            period_end=time("2025-07-14T16:00:00Z"),
        ),
        QuotaUsage(
            rule_id="WEEKLY_QUOTA",
            limit=10,
            used=3,
            period_start=time("2025-07-13T16:00:00Z"),
            period_end=time("2025-07-20T16:00:00Z"),
        ),
    ]
    return ReservationEvent(
        reservation=reservation(who, **changes), decision=Decision(quotas=quotas), actor="account-1"
    )


def pending(who: Organizer | None = None, address: str = SUPPORT, **changes: Any) -> ReservationEvent:
    values = {
        "state": RESERVATION_STATE_PENDING_APPROVAL,
        "participant_count": 120,
        "room": None,
        "release_time": None,
        **changes,
    }
    decision = Decision(
        rules=[
            rule(
                "LARGE_MEETING",
                "参会人数 120 人，达到 100 人，须由技术支持安排",
                "120 people reach the limit of 100: support arranges these meetings",
            )
        ],
        obligations=[
            Obligation(kind=Obligation.KIND_NOTIFY_SUPPORT, address=address),
            Obligation(kind=Obligation.KIND_EXPIRE_ESCALATION, seconds=1800),
        ],
    )
    return ReservationEvent(reservation=reservation(who, **values), decision=decision, actor="account-1")


def cancelled(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    values = {"version": 2, "state": RESERVATION_STATE_CANCELLED, "release_time": None, **changes}
    return ReservationEvent(reservation=reservation(who, **values), actor="account-1")


def approved(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    values = {"version": 2, "participant_count": 120, "note": "8:30 起可以调试设备", **changes}
    event = confirmed(who, **values)
    event.actor = "support"
    return event


def changed(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    later = {"start_time": time("2025-07-15T02:00:00Z"), "end_time": time("2025-07-15T03:30:00Z")}
    values = {"version": 2, **later, "release_time": time("2025-07-15T02:30:00Z"), **changes}
    return confirmed(who, **values)


def handed_over(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    """From the account of the other samples to a colleague's; both read the same language."""
    former = who or organizer()
    name = "Colleague" if former.locale == "en" else "接手人"
    colleague = organizer(former.locale, account_id="account-2", display_name=name, email=COLLEAGUE)
    event = confirmed(colleague, **{"version": 2, **changes})
    event.actor = "support"
    event.former_organizer.CopyFrom(former)
    return event


def handed_over_waiting(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    """Before support has answered."""
    event = handed_over(who)
    event.MergeFrom(ReservationEvent(decision=pending().decision))
    event.reservation.CopyFrom(pending(event.reservation.organizer, version=2, **changes).reservation)
    return event


def declined(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    values = {"version": 2, "state": RESERVATION_STATE_DECLINED, "note": "当天大会议室检修", **changes}
    event = pending(who, **values)
    event.actor = "support"
    return event


def expired(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    event = pending(who, **{"version": 2, "state": RESERVATION_STATE_EXPIRED, **changes})
    event.actor = "system"
    return event


def released(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    values = {"version": 2, "state": RESERVATION_STATE_NO_SHOW, **changes}
    decision = Decision(
        rules=[
            rule(
                "NO_SHOW",
                "会议开始后 30 分钟无人进入，会议室自动释放",
                "nobody entered within 30 minutes of the start, so the room is released",
            )
        ]
    )
    return ReservationEvent(reservation=reservation(who, **values), decision=decision, actor="system")


def violation(who: Organizer | None = None, **changes: Any) -> AccountEvent:
    record = Violation(violation_id="violation-1", violation_time=time("2025-07-14T06:30:00Z"), **changes)
    event = released(who)
    return AccountEvent(
        account=who or organizer(),
        violation=record,
        reservation=event.reservation,
        decision=event.decision,
        actor="system",
    )


def waived(who: Organizer | None = None) -> AccountEvent:
    event = violation(who, waived=True, suspension_id="suspension-1", waive_note="会议链接有误")
    event.actor = "support"
    return event


def objected(who: Organizer | None = None) -> AccountEvent:
    objection = Objection(
        text="我 13:58 就进入会议了，\n主持人可以作证。",
        object_time=time("2025-07-14T07:05:00Z"),
        outcome=OBJECTION_OUTCOME_OPEN,
    )
    event = violation(who, suspension_id="suspension-1", objection=objection)
    event.reservation.attendance.ask_time.CopyFrom(time("2025-07-14T06:31:00Z"))
    event.actor = event.account.account_id
    return event


def dismissed(who: Organizer | None = None) -> AccountEvent:
    event = objected(who)
    event.actor, answer = "support", event.violation.objection
    answer.outcome, answer.answered_by = OBJECTION_OUTCOME_DISMISSED, "support"
    answer.answer_note = "参会记录显示 14:40 才有人进入"
    return event


def suspended(who: Organizer | None = None) -> AccountEvent:
    suspension = Suspension(
        suspension_id="suspension-1",
        start_time=time("2025-07-14T06:30:00Z"),
        end_time=time("2025-07-21T06:30:00Z"),
    )
    decision = Decision(
        rules=[
            rule(
                "SUSPENSION",
                "7 天内 2 次未参会违约，暂停预定 7 天",
                "2 no-shows within 7 days pause booking for 7 days",
            )
        ]
    )
    return AccountEvent(account=who or organizer(), suspension=suspension, decision=decision, actor="system")


def withdrawn(who: Organizer | None = None, **changes: Any) -> ReservationEvent:
    """Cancelled while support had not answered: there never was a room."""
    return cancelled(who, **{"participant_count": 120, "room": None, **changes})


def digest(who: Organizer | None = None, **changes: Any) -> Digest:
    """Two cases, of which the second one is the more urgent."""
    later = {"start_time": time("2025-07-16T02:00:00Z"), "end_time": time("2025-07-16T04:00:00Z")}
    cases = [
        OpenCase(pending(who, **{**later, **changes}).reservation, to_ms("2025-07-13T02:40:00Z"), 0),
        OpenCase(pending(who, **changes).reservation, to_ms("2025-07-14T00:20:00Z"), to_ms("2025-07-14T05:30:00Z")),
    ]
    return Digest(SUPPORT, to_ms(NOW), cases, failed=2)


SAMPLES: Mapping[str, Any] = {
    "reservation.confirmed": confirmed,
    "reservation.pending_approval": pending,
    "reservation.approved": approved,
    "reservation.updated": changed,
    "reservation.handed_over": handed_over,
    "reservation.declined": declined,
    "reservation.expired": expired,
    "reservation.cancelled": cancelled,
    "reservation.released": released,
    "account.violation_recorded": violation,
    "account.violation_waived": waived,
    "account.violation_objected": objected,
    "account.objection_dismissed": dismissed,
    "account.suspended": suspended,
}


def headers(event_type: str, event_id: str = "event-1", at: str = NOW) -> dict[str, str]:
    return {"ce-id": event_id, "ce-type": PREFIX + event_type, "ce-time": at, "Nats-Msg-Id": str(uuid.uuid4())}


def payload(body: Message) -> bytes:
    return json_format.MessageToJson(body).encode()


def event(event_type: str, body: Message, event_id: str = "event-1") -> BookingEvent:
    """As it comes out of the bus: through JSON and back."""
    parsed = parse(headers(event_type, event_id), payload(body))
    assert parsed is not None
    return parsed


def to_ms(text: str) -> int:
    return from_timestamp(time(text))


def to_stamp(milliseconds: int) -> Timestamp:
    return to_timestamp(milliseconds)


def moment(text: str) -> datetime:
    return time(text).ToDatetime(UTC)
