"""The policy in force, as people read it: each rule in words with its numbers, and how a request stands with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import yaml
from starlette.requests import Request
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as api

from services.portal.calls import ask, services_of
from services.portal.times import CHINESE, span

REMEMBERED = 8
_FIELD = re.compile(r"\{([a-z_]+)(?::([a-z]+)(?: ([^ }]+) ([^ }]+))?)?\}")
_EFFECTS: Mapping[str, int] = dict(decision_pb2.Effect.items())
TONES: Mapping[int, str] = {
    decision_pb2.EFFECT_DENY: "bad",
    decision_pb2.EFFECT_ESCALATE: "wait",
    decision_pb2.EFFECT_REDIRECT: "away",
    decision_pb2.EFFECT_ALLOW: "good",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the person against one number of the rule; `threshold` is "" for a plain number."""

    fact: str
    threshold: str


@dataclass(frozen=True, slots=True)
class Rule:
    rule_id: str
    on: frozenset[str]
    effect: int
    summary: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    obligations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Suspends:
    """The rule that closes booking: names of the thresholds that say how many violations and within how long."""

    limit: str
    within: str
    leave_out: frozenset[str]


@dataclass(frozen=True, slots=True)
class Violations:
    """How many count at present, of how many that close booking; and within how many seconds."""

    used: int
    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Policy:
    rules: tuple[Rule, ...]
    numbers: Mapping[str, int]
    units: Mapping[str, str]
    precedence: tuple[int, ...]
    zone: str
    overrides: tuple[Mapping[str, Any], ...]
    support: str
    """Where support is written to; "" when no rule asks for it."""
    suspends: Suspends | None
    """None when no number of violations closes booking."""

    def sentence(self, rule: Rule, language: str, thresholds: Mapping[str, int] | None = None) -> str:
        """The rule in words; with the account's own numbers when they are given."""
        numbers = {**self.numbers, **(thresholds or {})}
        return _FIELD.sub(lambda found: _write(found, numbers, language), rule.summary[language])


@dataclass(frozen=True, slots=True)
class Line:
    """One rule beside one request."""

    rule_id: str
    tone: str
    text: str
    figure: str
    remedy: str
    stated: str


def _write(found: re.Match[str], numbers: Mapping[str, int], language: str) -> str:
    value = numbers.get(found[1])
    if value is None:
        return found[0]
    if found[2] == "duration":
        return span(value, language)
    return f"{value} {found[3] if value == 1 else found[4]}" if found[2] == "plural" else str(value)


async def in_force(request: Request) -> tuple[api.PolicyVersion, Policy]:
    """Raises grpc.aio.AioRpcError."""
    answer = await ask(request, services_of(request).policy.GetPolicy, api.GetPolicyRequest())
    return answer.policy, parse(answer.source)


@lru_cache(REMEMBERED)
def parse(source: str) -> Policy:
    """A published source has passed the policy service's own checks."""
    document = yaml.load(source, yaml.BaseLoader)  # noqa: S506 - text only; YAML would read "on" as true
    thresholds = document["thresholds"]
    return Policy(
        rules=tuple(_rule(each) for each in document["rules"]),
        numbers={name: int(each["value"]) for name, each in thresholds.items()},
        units={name: str(each.get("unit", "")) for name, each in thresholds.items()},
        precedence=tuple(_EFFECTS[f"EFFECT_{name}"] for name in document["precedence"]),
        zone=str(document["zone"]),
        overrides=tuple(document.get("overrides") or ()),
        support=next(_addresses(document), ""),
        suspends=next(_suspending(document), None),
    )


def _rule(each: Mapping[str, Any]) -> Rule:
    return Rule(
        rule_id=str(each["id"]),
        on=frozenset(each["on"]),
        effect=_EFFECTS[f"EFFECT_{each['effect']}"],
        summary={language: str(text) for language, text in each["summary"].items()},
        comparisons=tuple(_comparisons(each["when"])),
        obligations=frozenset(duty["kind"] for duty in each.get("obligations", ())),
    )


def _comparisons(condition: Mapping[str, Any]) -> Iterator[Comparison]:
    for part in (*condition.get("all", ()), *condition.get("any", ())):
        yield from _comparisons(part)
    if "fact" in condition:
        yield Comparison(str(condition["fact"]), str(condition.get("threshold", "")))


def _addresses(document: Mapping[str, Any]) -> Iterator[str]:
    for rule in document["rules"]:
        for obligation in rule.get("obligations", ()):
            if obligation["kind"] == "NOTIFY_SUPPORT":
                yield str(obligation["address"])


def _suspending(document: Mapping[str, Any]) -> Iterator[Suspends]:
    for rule in document["rules"]:
        if any(duty["kind"] == "SUSPEND" for duty in rule.get("obligations", ())):
            for each in _comparisons(rule["when"]):
                fact = document["facts"].get(each.fact, {})
                if fact.get("count") == "violations" and each.threshold:
                    yield Suspends(each.threshold, fact["within"], frozenset(fact.get("leave_out", ())))


def violations(policy: Policy, standing: pb.Standing, now: datetime) -> Violations | None:
    """As the policy counts them, by the account's own numbers."""
    rule = policy.suspends
    if rule is None:
        return None
    numbers = {**policy.numbers, **standing.thresholds}
    since = now.timestamp() - numbers[rule.within]
    counted = [
        each
        for each in standing.violations
        if each.violation_time.seconds > since
        and not (each.waived and "waived" in rule.leave_out)
        and not (each.suspension_id and "used_up" in rule.leave_out)
    ]
    return Violations(len(counted), numbers[rule.limit], numbers[rule.within])


def deciding(lines: Sequence[Line], decision: decision_pb2.Decision) -> list[Line]:
    """Those because of which it is as it is: what else spoke would not have been enough."""
    return [line for line in lines if line.tone == TONES.get(decision.effect)] if decision.rules else []


def lines(policy: Policy, decision: decision_pb2.Decision, language: str) -> list[Line]:
    """Every rule for new reservations, those that object first; with the person's figures."""
    fired = {rule.rule_id: rule for rule in decision.rules}
    asked = [rule for rule in policy.rules if "CREATE" in rule.on]
    listed = [_line(policy, rule, fired.get(rule.rule_id), decision, language) for rule in asked]
    return sorted(listed, key=lambda line: line.tone == "good")


def _line(
    policy: Policy,
    rule: Rule,
    fired: decision_pb2.FiredRule | None,
    decision: decision_pb2.Decision,
    language: str,
) -> Line:
    stated = policy.sentence(rule, language, decision.thresholds)
    figure = _figure(policy, rule, decision, language)
    if fired is None:
        return Line(rule.rule_id, "good", stated, figure, "", stated)
    return Line(rule.rule_id, TONES[fired.effect], own(fired.reason, language), figure, remedy(fired, language), stated)


def fired_lines(decision: decision_pb2.Decision, language: str) -> list[Line]:
    """Only what spoke: for decisions of the past, whose policy may be another."""
    return [
        Line(rule.rule_id, TONES[rule.effect], own(rule.reason, language), "", remedy(rule, language), "")
        for rule in decision.rules
    ]


def own(text: decision_pb2.LocalizedText, language: str) -> str:
    return text.zh_cn if language == CHINESE else text.en


def remedy(rule: decision_pb2.FiredRule, language: str) -> str:
    return own(rule.remedy.text, language) if rule.HasField("remedy") else ""


def _figure(policy: Policy, rule: Rule, decision: decision_pb2.Decision, language: str) -> str:
    """The person's own figures that the rule looks at; beside the rule's number when it compares just one."""
    seen = [each for each in rule.comparisons if each.fact in decision.facts and each.fact not in _FLAGS]
    own = [_short(each.fact, decision.facts[each.fact], _is_span(policy, each), language) for each in seen]
    if len(seen) == 1 and seen[0].threshold:
        limit = decision.thresholds.get(seen[0].threshold, 0)
        own.append(_short("", limit, _is_span(policy, seen[0]), language))
        return " / ".join(own)
    return " · ".join(dict.fromkeys(own))


def _is_span(policy: Policy, each: Comparison) -> bool:
    return policy.units.get(each.threshold) == "seconds" or each.fact.endswith("_seconds")


def _short(fact: str, value: int, is_span: bool, language: str) -> str:
    if is_span:
        return span(value, language, parts=2, smallest=60)
    words = _WORDS.get(fact)
    return words[language].format(value) if words else str(value)


_FLAGS = frozenset({"extends", "escalates_anew", "entered", "suspension_remaining_seconds"})
_WORDS: Mapping[str, Mapping[str, str]] = {
    "free_room_count": {"zh-CN": "空闲 {} 间", "en": "{} free"},
    "participant_count": {"zh-CN": "{} 人", "en": "{} people"},
    "escalations_today": {"zh-CN": "今天已申请 {} 次", "en": "asked {} today"},
}
