"""Tries a draft on what was really asked: the stored requests in their order, with usage as it would have been.

What cannot be known is assumed: whoever was refused then and would be allowed now would have come. Whether a room was
free is taken as it was. Nothing is written.
"""

import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from yunhui.booking.v1 import export_pb2 as export
from yunhui.booking.v1 import reservation_pb2 as booking
from yunhui.policy.v1 import decision_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.platform.clock import DAY, SECOND, from_timestamp, to_timestamp
from services.policy.decisions import Policy

HISTORY = 35 * DAY  # contract of History
SHOWN_ACCOUNTS = 100

Fetch = Callable[[export.ExportRequestsRequest], Awaitable[export.ExportRequestsResponse]]
Key = tuple[str, pb.Effect.ValueType, pb.Effect.ValueType]


@dataclass(slots=True)
class Held:
    """A reservation of the simulated history. Times are epoch ms; `due` is when somebody must have entered."""

    past: pdp.PastReservation
    due: int | None
    enter: int | None
    cancelled: int | None
    lapsed: bool
    """An escalation that came to nothing: counts until its start."""


@dataclass(slots=True)
class World:
    """One account as it would stand under the draft."""

    held: list[Held] = field(default_factory=list)
    violations: list[pdp.PastViolation] = field(default_factory=list)
    suspensions: list[pdp.PastSuspension] = field(default_factory=list)

    def history(self, now: int) -> pdp.History:
        """As of `now`; what no policy may look at is forgotten."""
        self.held = [held for held in self.held if from_timestamp(held.past.start_time) >= now - HISTORY]
        return pdp.History(
            reservations=[as_of(held, now) for held in self.held],
            violations=self.violations,
            suspensions=self.suspensions,
        )


def as_of(held: Held, now: int) -> pdp.PastReservation:
    """A reservation with the status that it had at `now`."""
    past = pdp.PastReservation()
    past.CopyFrom(held.past)
    if held.cancelled is not None and held.cancelled <= now:
        past.status = pdp.RESERVATION_STATUS_CANCELLED
        past.cancel_time.CopyFrom(to_timestamp(held.cancelled))
    elif held.lapsed and from_timestamp(past.start_time) <= now:
        past.status = pdp.RESERVATION_STATUS_EXPIRED
    elif past.status == pdp.RESERVATION_STATUS_CONFIRMED and from_timestamp(past.end_time) <= now:
        past.status = pdp.RESERVATION_STATUS_COMPLETED
    return past


@dataclass(slots=True)
class Tally:
    requests: int = 0
    accounts: set[str] = field(default_factory=set)


class SimulationReport:
    """Counts of (key, before, after)."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.by_rule: defaultdict[Key, Tally] = defaultdict(Tally)
        self.by_department: defaultdict[Key, Tally] = defaultdict(Tally)
        self.by_week: defaultdict[Key, Tally] = defaultdict(Tally)

    def count(self, stored: export.StoredRequest, decision: pb.Decision) -> None:
        account, change = stored.question.account, (stored.effect, decision.effect)
        rules = {*stored.rule_ids, *(rule.rule_id for rule in decision.rules)}
        keyed = [
            *((self.by_rule, rule) for rule in rules),
            (self.by_department, account.department),
            (self.by_week, self._week(stored.question.now.seconds)),
        ]
        for table, key in keyed:
            tally = table[(key, *change)]
            tally.requests += 1
            tally.accounts.add(account.account_id)

    def _week(self, seconds: int) -> str:
        year, week, _ = datetime.fromtimestamp(seconds, self._zone).isocalendar()
        return f"{year}-W{week:02}"


class Simulator:
    """Runs drafts over what `fetch` hands out page by page."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def run(self, candidate: Policy, since: int) -> AsyncIterator[pdp.SimulatePolicyResponse]:
        """Progress a page, then the report. What was asked up to 35 days earlier is lived through, but not counted."""
        worlds: defaultdict[str, World] = defaultdict(World)
        report = SimulationReport(ZoneInfo(candidate.document.zone))
        done = total = 0
        async for page in self._pages(max(0, since - HISTORY)):
            total = page.total or total
            for stored in page.requests:
                counted = from_timestamp(stored.question.now) >= since
                decision = replay(candidate, worlds[stored.question.account.account_id], stored)
                if counted:
                    report.count(stored, decision)
            done += len(page.requests)
            yield pdp.SimulatePolicyResponse(done=done, total=total)
        yield to_response(report, done, total)

    async def _pages(self, since: int) -> AsyncIterator[export.ExportRequestsResponse]:
        token = ""
        for number in itertools.count():
            if number and not token:
                return
            asked = export.ExportRequestsRequest(since=to_timestamp(since), page_token=token)
            page = await self._fetch(asked)
            token = page.next_page_token
            yield page


def replay(candidate: Policy, world: World, stored: export.StoredRequest) -> pb.Decision:
    """Decides one stored request under the draft, and lets the account live on with the answer."""
    now = from_timestamp(stored.question.now)
    judge_absences(candidate, world, stored.question.account, now)
    question = pdp.DecideRequest()
    question.CopyFrom(stored.question)
    question.history.CopyFrom(world.history(now))
    question.policy_version = ""
    decision = candidate.decide(question)
    if decision.effect in (pb.EFFECT_ALLOW, pb.EFFECT_ESCALATE):
        world.held.append(to_held(stored, decision))
    return decision


def to_held(stored: export.StoredRequest, decision: pb.Decision) -> Held:
    subject, allowed = stored.question.subject, decision.effect == pb.EFFECT_ALLOW
    status = pdp.RESERVATION_STATUS_CONFIRMED if allowed else pdp.RESERVATION_STATUS_PENDING_APPROVAL
    start = from_timestamp(subject.start_time)
    grace = next((each.seconds for each in decision.obligations if each.kind == _CHECK), None)
    stayed_away = stored.state == booking.RESERVATION_STATE_NO_SHOW
    return Held(
        past=pdp.PastReservation(
            reservation_id=stored.question.decision_id,
            status=status,
            start_time=subject.start_time,
            end_time=subject.end_time,
            escalate_time=None if allowed else stored.question.now,
        ),
        due=start + grace * SECOND if allowed and stayed_away and grace is not None else None,
        enter=from_timestamp(stored.enter_time) if stored.HasField("enter_time") else None,
        cancelled=from_timestamp(stored.cancel_time) if stored.HasField("cancel_time") else None,
        lapsed=stored.state in (booking.RESERVATION_STATE_DECLINED, booking.RESERVATION_STATE_EXPIRED),
    )


_CHECK = pb.Obligation.KIND_CHECK_ATTENDANCE


def judge_absences(candidate: Policy, world: World, account: pdp.Account, now: int) -> None:
    """No-shows that were due before `now`, in order, with the violations and suspensions of the draft."""
    due = [held for held in world.held if held.due is not None and held.due <= now]
    for held in sorted(due, key=lambda each: each.due or 0):
        moment, held.due = held.due or 0, None
        judge(candidate, world, account, held, moment)


def judge(candidate: Policy, world: World, account: pdp.Account, held: Held, moment: int) -> None:
    question = pdp.DecideRequest(
        decision_id=held.past.reservation_id,
        action=pdp.ACTION_NO_SHOW,
        now=to_timestamp(moment),
        account=account,
        subject=pdp.Subject(start_time=held.past.start_time, end_time=held.past.end_time, participant_count=1),
        history=world.history(moment),
    )
    for obligation in candidate.decide(question).obligations:
        if obligation.kind == pb.Obligation.KIND_RELEASE_ROOM:
            held.past.status = pdp.RESERVATION_STATUS_NO_SHOW
        elif obligation.kind == pb.Obligation.KIND_RECORD_VIOLATION:
            violation = pdp.PastViolation(violation_id=held.past.reservation_id, violation_time=to_timestamp(moment))
            world.violations.append(violation)
        elif obligation.kind == pb.Obligation.KIND_SUSPEND:
            suspend(world, obligation, held.past.reservation_id)


def suspend(world: World, obligation: pb.Obligation, newest: str) -> None:
    start = from_timestamp(obligation.from_time)
    end = to_timestamp(start + obligation.seconds * SECOND)
    world.suspensions.append(pdp.PastSuspension(start_time=obligation.from_time, end_time=end))
    used = {*obligation.violation_ids, newest}
    for violation in world.violations:
        violation.used_up = violation.used_up or violation.violation_id in used


def to_response(report: SimulationReport, done: int, total: int) -> pdp.SimulatePolicyResponse:
    return pdp.SimulatePolicyResponse(
        done=done,
        total=max(done, total),
        by_rule=to_rows(report.by_rule.items()),
        by_department=to_rows(report.by_department.items()),
        by_week=to_rows(report.by_week.items()),
    )


def to_rows(counts: Iterable[tuple[Key, Tally]]) -> list[pdp.SimulationRow]:
    return [
        pdp.SimulationRow(
            key=key,
            before=before,
            after=after,
            requests=tally.requests,
            accounts=len(tally.accounts),
            account_ids=sorted(tally.accounts)[:SHOWN_ACCOUNTS] if before != after else [],
        )
        for (key, before, after), tally in sorted(counts)
    ]
