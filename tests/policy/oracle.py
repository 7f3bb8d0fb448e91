"""The rules once more, in plain Python written from the wording alone: no YAML, no engine, nothing of services/.

Outsiders may not book, and who is strict wants advanced accounts and a check of the identity: samples.WITH_ROLES.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
FREE, DISABLED = 1, 3
ALWAYS_COUNTED = {1, 2, 3, 4, 5}
CANCELLED = 6
UPDATE = 2


def read(stamp: Any) -> datetime:
    """Whole microseconds are enough: the histories are made of those."""
    return datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(microseconds=stamp.nanos // 1000)


def given_up(past: Any) -> list[tuple[datetime, datetime, bool]]:
    return [(read(each.start_time), read(each.leave_time), each.given_back) for each in past]


def stands_by(start: datetime, left: list[tuple[datetime, datetime, bool]]) -> tuple[datetime, list[datetime]]:
    """The start that counts for what starts at `start` now, and those that it let down before."""
    if not left:
        return start, []
    (first, moment, given_back), *others = left
    late = first - moment < 30 * MINUTE
    if not late:
        return stands_by(start, others)
    if not given_back or moment > first:
        own, let_down = stands_by(start, others)
        return own, [first, *let_down]
    if others:  # the next one is only the rest of this one
        _, later, gave_back = others[0]
        return stands_by(start, [(first, later, gave_back), *others[1:]])
    return first, []


def counted(item: Any) -> list[datetime]:
    """Every start for which a past reservation counts."""
    own, let_down = stands_by(read(item.start_time), given_up(item.former_starts))
    cancelled_late = item.status == CANCELLED and own - read(item.cancel_time) < 30 * MINUTE
    used = cancelled_late or item.status in ALWAYS_COUNTED
    return [*let_down, own] if used else let_down


def local_day(when: datetime) -> Any:
    return when.astimezone(ZONE).date()


def local_week(when: datetime) -> Any:
    day = local_day(when)
    return day - timedelta(days=day.weekday())


def booking_rules(request: Any) -> set[str]:
    """What holds no room and would be allowed gets one: that is more than it had."""
    rules = rules_for(request, more=asks_for_more(request.subject))
    subject = request.subject
    gets_room = subject.HasField("former_start_time") and not subject.former_room_capacity
    return rules or (rules_for(request, more=True) if gets_room else rules)


def rules_for(request: Any, *, more: bool) -> set[str]:
    now, start, end = read(request.now), read(request.subject.start_time), read(request.subject.end_time)
    people = request.subject.participant_count
    own, let_down = stands_by(start, as_changed(request))
    used = [*let_down, *(when for item in request.history.reservations for when in counted(item))]
    fired = {
        "DAILY_QUOTA": sum(local_day(when) == local_day(own) for when in used) >= 3,
        "WEEKLY_QUOTA": sum(local_week(when) == local_week(own) for when in used) >= 10,
        "SUSPENSION": more and any(read(s.start_time) <= now < read(s.end_time) for s in request.history.suspensions),
        "ACCOUNT_CLOSED": more and request.account.status == DISABLED,
        "MAY_NOT_BOOK": more and "outsider" in request.account.roles,
        "ADVANCED_ONLY": more and "strict" in request.account.roles and request.account.account_type == FREE,
        "UNVERIFIED": more and "strict" in request.account.roles and known_unverified(request.account),
        "BOOKING_HORIZON": local_day(start) - local_day(now) > 7 * DAY,
        "BOOKING_CUTOFF": more and start - now < 30 * MINUTE,
        "LATE_CHANGE": changes_late(request, more=more),
        "LARGE_MEETING": people >= 100,
        "ESCALATION_LIMIT": people >= 100 and not request.subject.waits_for_support and asked_on(request, now) >= 3,
        "SMALL_MEETING": people < 100 and (end - start <= 40 * MINUTE or people <= 2),
        "NO_ROOM_FREE": people < 100 and request.subject.free_room_count == 0,
    }
    return {rule for rule, holds in fired.items() if holds}


def known_unverified(account: Any) -> bool:
    return account.HasField("verified") and not account.verified


def asked_on(request: Any, now: datetime) -> int:
    """How often support was asked on the day of now."""
    asked = [item for item in request.history.reservations if item.HasField("escalate_time")]
    return sum(local_day(read(item.escalate_time)) == local_day(now) for item in asked)


def is_part(subject: Any) -> bool:
    """Of the time that is reserved so far."""
    kept = read(subject.former_start_time), read(subject.former_end_time)
    return kept[0] <= read(subject.start_time) < read(subject.end_time) <= kept[1]


def asks_for_more(subject: Any) -> bool:
    if not subject.HasField("former_start_time") or not is_part(subject):
        return True
    most = subject.former_room_capacity or subject.former_participant_count
    return bool(subject.participant_count > most)


def as_changed(request: Any) -> list[tuple[datetime, datetime, bool]]:
    """The starts given up so far and, by a change, just now."""
    subject = request.subject
    left = given_up(subject.former_starts)
    if subject.HasField("former_start_time") and subject.former_start_time != subject.start_time:
        left.append((read(subject.former_start_time), read(request.now), is_part(subject)))
    return left


def changes_late(request: Any, *, more: bool) -> bool:
    subject, now = request.subject, read(request.now)
    if request.action != UPDATE:
        return False
    former = subject.former_start_time if subject.HasField("former_start_time") else subject.start_time
    own, _ = stands_by(read(former), given_up(subject.former_starts))
    put_off = read(subject.start_time) > read(former)
    return own - now < 30 * MINUTE and (more or (put_off and now > own))


def cancel_rules(request: Any) -> set[str]:
    own, _ = stands_by(read(request.subject.start_time), given_up(request.subject.former_starts))
    return {"LATE_CANCELLATION"} if own - read(request.now) < 30 * MINUTE else set()


def no_show_rules(request: Any) -> set[str]:
    now, subject = read(request.now), request.subject
    start = read(subject.start_time)
    came = subject.HasField("enter_time") and start <= read(subject.enter_time) <= now
    if came or now - start < 30 * MINUTE:
        return set()
    return {"NO_SHOW", "REPEATED_NO_SHOW"} if earlier_violations(request) else {"NO_SHOW"}


def earlier_violations(request: Any) -> list[str]:
    now = read(request.now)
    return [
        item.violation_id
        for item in request.history.violations
        if abs(now - read(item.violation_time)) < 7 * DAY and not item.waived and not item.used_up
    ]


def decide(request: Any) -> tuple[str, set[str], set[str]]:
    """Effect, rules fired, obligations."""
    if request.action in (1, 2):
        rules = booking_rules(request)
        if "SMALL_MEETING" in rules:
            return "REDIRECT", rules, set()
        if rules - {"LARGE_MEETING"}:
            return "DENY", rules, set()
        if rules:
            return "ESCALATE", rules, {"NOTIFY_SUPPORT", "EXPIRE_ESCALATION", "CHECK_ATTENDANCE"}
        return "ALLOW", rules, {"CHECK_ATTENDANCE"}
    if request.action == 3:
        return "ALLOW", cancel_rules(request), set()
    rules = no_show_rules(request)
    owed = {"RELEASE_ROOM", "RECORD_VIOLATION"} | ({"SUSPEND"} if "REPEATED_NO_SHOW" in rules else set())
    return ("DENY", rules, owed) if rules else ("ALLOW", rules, set())
