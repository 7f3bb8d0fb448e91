"""The rules once more, in plain Python written from the wording alone: no YAML, no engine, nothing of services/."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ALWAYS_COUNTED = {1, 2, 3, 4, 5}
CANCELLED = 6


def read(stamp: Any) -> datetime:
    """Whole microseconds are enough: the histories are made of those."""
    return datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(microseconds=stamp.nanos // 1000)


def counts(item: Any) -> bool:
    if item.status == CANCELLED:
        return read(item.start_time) - read(item.cancel_time) < 30 * MINUTE
    return item.status in ALWAYS_COUNTED


def local_day(when: datetime) -> Any:
    return when.astimezone(ZONE).date()


def local_week(when: datetime) -> Any:
    day = local_day(when)
    return day - timedelta(days=day.weekday())


def booking_rules(request: Any) -> set[str]:
    now, start, end = read(request.now), read(request.subject.start_time), read(request.subject.end_time)
    people = request.subject.participant_count
    counted = [read(item.start_time) for item in request.history.reservations if counts(item)]
    fired = {
        "DAILY_QUOTA": sum(local_day(when) == local_day(start) for when in counted) >= 3,
        "WEEKLY_QUOTA": sum(local_week(when) == local_week(start) for when in counted) >= 10,
        "SUSPENSION": asks_for_more(request.subject)
        and any(read(s.start_time) <= now < read(s.end_time) for s in request.history.suspensions),
        "BOOKING_HORIZON": local_day(start) - local_day(now) > 7 * DAY,
        "BOOKING_CUTOFF": start - now < 30 * MINUTE,
        "LARGE_MEETING": people >= 100,
        "SMALL_MEETING": people < 100 and (end - start <= 40 * MINUTE or people <= 2),
        "NO_ROOM_FREE": people < 100 and request.subject.free_room_count == 0,
    }
    return {rule for rule, holds in fired.items() if holds}


def asks_for_more(subject: Any) -> bool:
    if not subject.HasField("former_start_time"):
        return True
    kept = read(subject.former_start_time), read(subject.former_end_time)
    return not kept[0] <= read(subject.start_time) < read(subject.end_time) <= kept[1]


def cancel_rules(request: Any) -> set[str]:
    late = read(request.subject.start_time) - read(request.now) < 30 * MINUTE
    return {"LATE_CANCELLATION"} if late else set()


def no_show_rules(request: Any) -> set[str]:
    now, subject = read(request.now), request.subject
    entered = subject.HasField("enter_time") and read(subject.enter_time) <= now
    if entered or now - read(subject.start_time) < 30 * MINUTE:
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
