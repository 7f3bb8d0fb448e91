"""Runs the test table beside a policy, and demands that its cases hold the policy on every side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from yunhui.policy.v1 import decision_pb2, policy_service_pb2

from services.policy.decisions import Policy
from services.policy.document import DepartmentScope, Document, Override
from services.policy.questions import InvalidRequestError
from services.policy.test_cases import (
    Expectation,
    ExpectedObligation,
    PolicyTestCase,
    PolicyTestTable,
    read_table,
    request_of,
    timestamp_of,
)

__all__ = ["CaseResult", "PolicyTestReport", "read_table", "run"]


@dataclass(frozen=True, slots=True)
class CaseResult:
    name: str
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class PolicyTestReport:
    """Results in the order of the table; gaps are what no case would notice."""

    results: tuple[CaseResult, ...]
    gaps: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.gaps and all(result.passed for result in self.results)


def run(policy: Policy, table: PolicyTestTable) -> PolicyTestReport:
    """Decides every case, then checks that each rule was hit and each number is held from both sides."""
    zone = ZoneInfo(table.zone)
    requests = [(case, request_of(table.ask, case, zone)) for case in table.cases]
    results = [CaseResult(case.name, tuple(_judge(policy, case, request, zone))) for case, request in requests]
    hit = {
        rule for case, result in zip(table.cases, results, strict=True) if result.passed for rule in case.expect.rules
    }
    gaps = [f"rule {rule.id}: no case hits it; add one" for rule in policy.document.rules if rule.id not in hit]
    if all(result.passed for result in results):
        gaps += _loose_numbers(policy, requests, zone)
    return PolicyTestReport(tuple(results), tuple(gaps))


def _loose_numbers(
    policy: Policy, requests: Sequence[tuple[PolicyTestCase, policy_service_pb2.DecideRequest]], zone: ZoneInfo
) -> Iterator[str]:
    """A number is held when moving it by one, either way, breaks a case."""
    for what, moved, document in _moved_numbers(policy.document):
        varied = policy.with_numbers(document)
        unspoken = ((case.model_copy(update={"expect": _silent(case.expect)}), request) for case, request in requests)
        if not any(True for case, request in unspoken for _ in _judge(varied, case, request, zone)):
            yield f"{what}: no case notices when it becomes {moved}; add one on that side of it"


def _silent(expect: Expectation) -> Expectation:
    """Without its sentences: those repeat the number, which says nothing about where it bites."""
    return expect.model_copy(update={"says": {}})


def _moved_numbers(document: Document) -> Iterator[tuple[str, int, Document]]:
    for name, threshold in document.thresholds.items():
        for moved in _neighbours(threshold.value, threshold.unit):
            numbers = {**document.thresholds, name: threshold.model_copy(update={"value": moved})}
            yield f"threshold {name} = {threshold.value}", moved, document.model_copy(update={"thresholds": numbers})
    for index, override in enumerate(document.overrides):
        scope = " ".join(filter(None, (_department(override), override.role)))
        for name, value in override.thresholds.items():
            for moved in _neighbours(value, document.thresholds[name].unit):
                changed = override.model_copy(update={"thresholds": {**override.thresholds, name: moved}})
                overrides = [*document.overrides[:index], changed, *document.overrides[index + 1 :]]
                varied = document.model_copy(update={"overrides": overrides})
                yield f"override for {scope}: {name} = {value}", moved, varied


def _department(override: Override) -> str | None:
    return override.department.id if isinstance(override.department, DepartmentScope) else override.department


def _neighbours(value: int, unit: str) -> list[int]:
    if unit == "flag":
        return [1 - value]
    return [value + 1, value - 1] if value else [value + 1]


def _judge(
    policy: Policy, case: PolicyTestCase, request: policy_service_pb2.DecideRequest, zone: ZoneInfo
) -> Iterator[str]:
    if unknown := case.numbers.keys() - policy.document.thresholds.keys():
        yield f"no threshold {min(unknown)!r}"
        return
    if case.numbers:
        policy = policy.with_numbers(_with_numbers(policy.document, case.numbers))
    try:
        decision = policy.decide(request)
    except InvalidRequestError as error:
        yield f"the question is not valid: {error}"
        return
    expect = case.expect
    yield from _differs("effect", expect.effect, decision_pb2.Effect.Name(decision.effect).removeprefix("EFFECT_"))
    yield from _differs("rules", sorted(expect.rules), sorted(rule.rule_id for rule in decision.rules))
    for name, value in expect.facts.items():
        yield from _differs(f"fact {name}", value, decision.facts.get(name))
    if expect.obligations is not None:
        yield from _judge_obligations(expect.obligations, decision, zone)
    reasons = {rule.rule_id: rule.reason for rule in decision.rules}
    for rule_id, says in expect.says.items():
        reason = reasons.get(rule_id, decision_pb2.LocalizedText())
        yield from _differs(f"{rule_id} in zh-CN", says.zh_cn, reason.zh_cn)
        yield from _differs(f"{rule_id} in en", says.en, reason.en)


def _with_numbers(document: Document, numbers: Mapping[str, int]) -> Document:
    """For everybody; what overrides say stays."""
    changed = {name: document.thresholds[name].model_copy(update={"value": value}) for name, value in numbers.items()}
    return document.model_copy(update={"thresholds": {**document.thresholds, **changed}})


def _judge_obligations(
    expected: Sequence[ExpectedObligation], decision: decision_pb2.Decision, zone: ZoneInfo
) -> Iterator[str]:
    kinds = [decision_pb2.Obligation.Kind.Name(item.kind).removeprefix("KIND_") for item in decision.obligations]
    yield from _differs("obligations", [item.kind for item in expected], kinds)
    for want, got in zip(expected, decision.obligations, strict=False):
        for name, value, found in (
            ("seconds", want.seconds, got.seconds),
            ("address", want.address, got.address),
            ("violations", want.violations, [*got.violation_ids]),
            ("early", want.early, got.early_seconds),
            ("since", want.since and timestamp_of(want.since, zone), got.from_time),
        ):
            if value is not None:
                yield from _differs(f"{want.kind} {name}", value, found)


def _differs(what: str, expected: object, found: object) -> Iterator[str]:
    if expected != found:
        yield f"{what}: expected {str(expected).strip()}, got {str(found).strip()}"
