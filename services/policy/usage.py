"""How much of its quotas an account has used, and how near it is to being closed out: by the facts of decisions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import decision_pb2 as pb
from yunhui.policy.v1.policy_service_pb2 import Usage

from services.policy.conditions import comparisons
from services.policy.document import Document, Measure, PeriodName, ReservationCount, ViolationCount
from services.policy.facts import Used, reservations_used, suspended_until, violations_counted
from services.policy.periods import Period, PeriodCalendar
from services.policy.questions import SECOND, UsageQuestion

SUSPENSION = ("suspension_remaining", "suspension_end")
"""Measures that look at suspensions."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A count of reservations that a rule limits. `of_start`: its period is that of the start, not of the question."""

    rule_id: str
    threshold: str
    period: PeriodName
    used: Used
    of_start: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """The count of violations that suspends when it reaches a threshold, or a number, and so many `more`."""

    fact: ViolationCount
    threshold: str | None
    number: int
    more: int

    def limit(self, thresholds: Mapping[str, int]) -> int:
        return (thresholds[self.threshold] if self.threshold else self.number) + self.more


class CompiledUsage:
    """What can be prepared once for a version of the rules. `quotas`: rule, fact, threshold and period of each."""

    def __init__(
        self, document: Document, calendar: PeriodCalendar, quotas: tuple[tuple[str, str, str, PeriodName], ...]
    ) -> None:
        self._quotas = [
            Quota(rule_id, threshold, period, reservations_used(fact, calendar), fact.of == "start")
            for rule_id, name, threshold, period in quotas
            if isinstance(fact := document.facts[name], ReservationCount)
        ]
        self._closing = next(_closing(document), None)
        self._suspension_matters = _suspension_matters(document)

    def usage(self, question: UsageQuestion, thresholds: Mapping[str, int]) -> Usage:
        usage = Usage(thresholds=thresholds, quotas=[_standing(each, question, thresholds) for each in self._quotas])
        if self._closing:
            counted = violations_counted(self._closing.fact, question.violations, question.now, thresholds)
            usage.closing.violations = len(counted)
            usage.closing.limit = self._closing.limit(thresholds)
            usage.closing.within_seconds = thresholds[self._closing.fact.within]
        if self._suspension_matters and (until := suspended_until(question.suspensions, question.now)):
            usage.closed_until.CopyFrom(to_timestamp(until))
        return usage


def _closing(document: Document) -> Iterator[Closing]:
    for rule in document.rules:
        if not any(each.kind == "SUSPEND" for each in rule.obligations):
            continue
        for _, compare in comparisons(rule.when):
            fact = document.facts[compare.fact]
            if isinstance(fact, ViolationCount) and compare.op in ("at_least", "more_than"):
                more = (compare.op == "more_than") + (not fact.this_one_too)  # the last no-show counts itself
                yield Closing(fact, compare.threshold, compare.value or 0, more)


def _suspension_matters(document: Document) -> bool:
    """Whether any rule about new reservations looks at suspensions; without one they close nothing."""
    asked = (comparisons(rule.when) for rule in document.rules if "CREATE" in rule.on)
    facts = (document.facts[compare.fact] for compared in asked for _, compare in compared)
    return any(isinstance(fact, Measure) and fact.measure in SUSPENSION for fact in facts)


def _standing(quota: Quota, question: UsageQuestion, thresholds: Mapping[str, int]) -> pb.QuotaStanding:
    moment = question.time if quota.of_start else question.now
    period, found, rolling_seconds = quota.used(question.reservations, moment, thresholds)
    limit = thresholds[quota.threshold]
    standing = pb.QuotaStanding(remaining=max(0, limit - len(found)))
    fill_quota(standing.usage, quota.rule_id, limit, period, quota.period, rolling_seconds, question.now)
    if found:
        standing.usage.used = len(found)
        standing.usage.rolling_seconds = rolling_seconds
        standing.usage.reservation_ids.extend(id_ for _, id_ in found)
    standing.return_times.extend(
        to_timestamp((start if rolling_seconds else period[1] * SECOND) + rolling_seconds * SECOND)
        for start, _ in found
    )
    return standing


def fill_quota(
    usage: pb.QuotaUsage,
    rule_id: str,
    limit: int,
    period: Period,
    kind: PeriodName,
    rolling_seconds: int,
    now: int,
) -> None:
    """Fills in all but what is used."""
    first, end = period
    name = _name_of(kind, rolling_seconds, current=first * SECOND <= now < end * SECOND)
    usage.CopyFrom(_blank_quota(rule_id, limit, period, name))


def _name_of(kind: PeriodName, rolling_seconds: int, *, current: bool) -> tuple[str, str]:
    """What people call a period, in Chinese and in English."""
    if kind == "calendar_day":
        return ("今日", "Today") if current else ("当日", "That day")
    if kind == "calendar_week":
        return ("本周", "This week") if current else ("当周", "That week")
    days = rolling_seconds // 86_400
    return f"{days} 天内", "Within a day" if days == 1 else f"Within {days} days"


@lru_cache(maxsize=1024)
def _blank_quota(rule_id: str, limit: int, period: Period, name: tuple[str, str]) -> pb.QuotaUsage:
    """Of one period, with nothing used: copied, because making messages within messages is slow."""
    start, end = (Timestamp(seconds=seconds) for seconds in period)
    chinese, english = name
    return pb.QuotaUsage(
        rule_id=rule_id,
        limit=limit,
        period_start=start,
        period_end=end,
        name=pb.LocalizedText(zh_cn=chinese, en=english),
    )


def to_timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // SECOND, nanos=nanoseconds % SECOND)
