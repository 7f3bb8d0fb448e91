"""How much of its quotas an account has used, and how near it is to being closed out: by the facts of decisions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import decision_pb2 as pb
from yunhui.policy.v1.policy_service_pb2 import Usage

from services.policy.conditions import comparisons
from services.policy.document import Document, PeriodName, ReservationCount, ViolationCount
from services.policy.facts import Used, reservations_used, suspended_until, violations_counted
from services.policy.periods import Period, PeriodCalendar
from services.policy.questions import SECOND, UsageQuestion


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
    """The count of violations that suspends when it reaches a threshold."""

    fact: ViolationCount
    threshold: str


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

    def usage(self, question: UsageQuestion, thresholds: Mapping[str, int]) -> Usage:
        usage = Usage(thresholds=thresholds, quotas=[_standing(each, question, thresholds) for each in self._quotas])
        if self._closing:
            counted = violations_counted(self._closing.fact, question.violations, question.now, thresholds)
            usage.closing.violations = len(counted)
            usage.closing.limit = thresholds[self._closing.threshold]
            usage.closing.within_seconds = thresholds[self._closing.fact.within]
        if until := suspended_until(question.suspensions, question.now):
            usage.closed_until.CopyFrom(to_timestamp(until))
        return usage


def _closing(document: Document) -> Iterator[Closing]:
    for rule in document.rules:
        if not any(each.kind == "SUSPEND" for each in rule.obligations):
            continue
        for _, compare in comparisons(rule.when):
            fact = document.facts[compare.fact]
            if isinstance(fact, ViolationCount) and compare.threshold:
                yield Closing(fact, compare.threshold)


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
