"""A draft is tried on what was really asked, in order, with usage as it would have been."""

from collections.abc import Callable

from yunhui.booking.v1 import export_pb2 as export
from yunhui.booking.v1 import reservation_pb2 as booking
from yunhui.policy.v1 import policy_service_pb2 as pdp
from yunhui.policy.v1.decision_pb2 import EFFECT_ALLOW, EFFECT_DENY, EFFECT_ESCALATE, EFFECT_REDIRECT

from services.platform.clock import DAY, HOUR, MINUTE, from_timestamp, to_timestamp
from services.policy.decisions import Policy
from services.policy.simulation import Simulator
from tests.policy.questions import MONDAY, question
from tests.policy.samples import SOURCE

TEN = MONDAY + 2 * HOUR


class Stored:
    """What booking would hand out, two requests a page."""

    def __init__(self, *requests: export.StoredRequest) -> None:
        self._requests = sorted(requests, key=lambda each: from_timestamp(each.question.now))

    async def fetch(self, asked: export.ExportRequestsRequest) -> export.ExportRequestsResponse:
        wanted = [each for each in self._requests if from_timestamp(each.question.now) >= from_timestamp(asked.since)]
        start = int(asked.page_token or 0)
        more = str(start + 2) if len(wanted) > start + 2 else ""
        total = 0 if start else len(wanted)
        return export.ExportRequestsResponse(requests=wanted[start : start + 2], next_page_token=more, total=total)


def stored(asked: pdp.DecideRequest, effect: int = EFFECT_ALLOW, **fate: object) -> export.StoredRequest:
    if effect == EFFECT_ALLOW:
        fate.setdefault("state", booking.RESERVATION_STATE_COMPLETED)
    asked.decision_id = f"dec_{from_timestamp(asked.now)}"
    return export.StoredRequest(question=asked, effect=effect, **fate)  # type: ignore[arg-type]


def draft(change: Callable[[str], str] = lambda source: source) -> Policy:
    return Policy.load(change(SOURCE))


def number(name: str, old: int, new: int) -> Callable[[str], str]:
    def change(source: str) -> str:
        assert f"{name}: {{value: {old}," in source
        return source.replace(f"{name}: {{value: {old},", f"{name}: {{value: {new},")

    return change


async def simulate(candidate: Policy, since: int, *requests: export.StoredRequest) -> pdp.SimulatePolicyResponse:
    progress = [each async for each in Simulator(Stored(*requests).fetch).run(candidate, since)]
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    assert progress[-1].done == progress[-1].total == len(requests)
    return progress[-1]


def changes(rows: list[pdp.SimulationRow]) -> list[tuple[str, int, int, int, int]]:
    return [(row.key, row.before, row.after, row.requests, row.accounts) for row in rows if row.before != row.after]


def at(index: int, **fields: int | str) -> pdp.DecideRequest:
    """The index-th question of Monday morning, for a start of its own."""
    return question(now=MONDAY + index * MINUTE, start=TEN + index * HOUR, **fields)  # type: ignore[arg-type]


async def test_the_same_rules_change_nothing() -> None:
    requests = [stored(at(index)) for index in range(3)]
    requests.append(stored(at(3), EFFECT_DENY, rule_ids=["DAILY_QUOTA"]))
    report = await simulate(draft(), MONDAY, *requests)
    assert changes(list(report.by_rule)) == changes(list(report.by_week)) == []
    assert [(row.key, row.requests) for row in report.by_week] == [("2025-W28", 3), ("2025-W28", 1)]


async def test_what_a_draft_refuses_does_not_use_quota_afterwards() -> None:
    """With a quota of two a day the third and fourth go; a redirect in between never counted."""
    requests = [stored(at(index)) for index in range(4)]
    requests.insert(1, stored(at(9, minutes=30), EFFECT_REDIRECT, rule_ids=["SMALL_MEETING"]))
    report = await simulate(draft(number("daily_quota", 3, 2)), MONDAY, *requests)
    assert changes(list(report.by_rule)) == [("DAILY_QUOTA", EFFECT_ALLOW, EFFECT_DENY, 2, 1)]
    [row] = [row for row in report.by_department if row.before != row.after]
    assert list(row.account_ids) == ["booker"]


async def test_what_a_draft_allows_uses_quota_afterwards() -> None:
    """A higher daily quota lets ten of a day through; then the week is full, and it stays full."""
    requests = [stored(at(index)) for index in range(3)]
    requests += [stored(at(index), EFFECT_DENY, rule_ids=["DAILY_QUOTA"]) for index in range(3, 12)]
    report = await simulate(draft(number("daily_quota", 3, 20)), MONDAY, *requests)
    assert changes(list(report.by_rule)) == [("DAILY_QUOTA", EFFECT_DENY, EFFECT_ALLOW, 7, 1)]
    weekly = [row for row in report.by_rule if row.key == "WEEKLY_QUOTA"]
    assert [(row.before, row.after, row.requests) for row in weekly] == [(EFFECT_DENY, EFFECT_DENY, 2)]


async def test_what_was_cancelled_in_time_counts_until_then_and_not_after() -> None:
    cancelled = stored(at(0), state=booking.RESERVATION_STATE_CANCELLED, cancel_time=to_timestamp(MONDAY + 90 * 1000))
    requests = [cancelled, *(stored(at(index)) for index in range(1, 4))]
    report = await simulate(draft(), MONDAY, *requests)
    assert changes(list(report.by_week)) == []


async def test_no_shows_suspend_under_the_draft() -> None:
    """One no-show is enough under the draft: whoever missed Monday is refused on Tuesday."""
    missed = stored(at(0), state=booking.RESERVATION_STATE_NO_SHOW)
    later = stored(question(now=TEN + 30 * MINUTE, start=TEN + DAY))
    lenient = await simulate(draft(), MONDAY, missed, later)
    assert changes(list(lenient.by_week)) == []
    strict = await simulate(draft(number("violations_to_suspend", 2, 1)), MONDAY, missed, later)
    assert changes(list(strict.by_rule)) == [("SUSPENSION", EFFECT_ALLOW, EFFECT_DENY, 1, 1)]


async def test_what_a_draft_sends_to_support_is_counted_on_the_day_of_asking() -> None:
    """With one a day the second request to support is refused, and the first of the next day goes through."""
    large = [stored(at(index, people=120), EFFECT_ESCALATE, rule_ids=["LARGE_MEETING"]) for index in range(2)]
    large.append(stored(question(now=MONDAY + DAY, start=TEN + DAY, people=120), EFFECT_ESCALATE))
    report = await simulate(draft(number("escalations_per_day", 3, 1)), MONDAY, *large)
    assert ("ESCALATION_LIMIT", EFFECT_ESCALATE, EFFECT_DENY, 1, 1) in changes(list(report.by_rule))


async def test_what_came_before_is_lived_through_but_not_counted() -> None:
    early = [stored(at(index)) for index in range(3)]
    late = stored(question(now=MONDAY + HOUR, start=TEN + 6 * HOUR), EFFECT_DENY, rule_ids=["DAILY_QUOTA"])
    report = await simulate(draft(), MONDAY + HOUR, *early, late)
    assert sum(row.requests for row in report.by_week) == 1
    assert changes(list(report.by_week)) == []
