"""The policy in force, as people read it: each rule in words with its numbers, and how a request stands with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as api

from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message
from services.platform.text.times import show_duration
from services.portal.calls import ask, services_of

_FIELD = re.compile(r"\{([a-z_]+)(?::([a-z]+)(?: ([^ }]+) ([^ }]+))?)?\}")
TONES: Mapping[int, str] = {
    decision_pb2.EFFECT_DENY: "bad",
    decision_pb2.EFFECT_ESCALATE: "wait",
    decision_pb2.EFFECT_REDIRECT: "away",
    decision_pb2.EFFECT_ALLOW: "good",
}
_HIGH, _LOW = {"at_least": 0, "more_than": 1}, {"at_most": 0, "less_than": -1}
"""How far from the number the last value lies that a comparison holds for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which new requests are an answer of another kind from the start; 0 and None: none are."""

    soonest: int
    """Seconds from now: what begins before is refused."""
    days: int | None
    """What begins more days ahead is refused."""
    shortest: int
    """Seconds: what is no longer belongs elsewhere."""
    fewest: int
    """So few people, and fewer, belong elsewhere."""
    large: int
    """So many people, and more, need an approval."""


Bound = tuple[str, str, int]
"""What is measured, on which side of a number an effect comes, and the value nearest to it that still brings it."""


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    description: api.PolicyDescription

    @property
    def zone(self) -> str:
        return self.description.zone

    @property
    def support(self) -> str:
        """Where support is written to; "" when no rule asks for it."""
        duties = (duty for rule in self.description.rules for duty in rule.obligations)
        return next((each.address for each in duties if each.kind == decision_pb2.Obligation.KIND_NOTIFY_SUPPORT), "")

    def rules(self, action: int) -> list[api.RuleDescription]:
        return [rule for rule in self.description.rules if action in rule.actions]

    def numbers(self, own: Mapping[str, int]) -> dict[str, int]:
        """Thresholds by name, `own` of the account before those for everybody."""
        return {name: each.value for name, each in self.description.thresholds.items()} | dict(own)

    def sentence(self, rule: api.RuleDescription, language: str, own: Mapping[str, int] | None = None) -> str:
        """The rule in words; with the account's own numbers when they are given."""
        numbers = self.numbers(own or {})
        return _FIELD.sub(lambda found: _write(found, numbers, language), own_words(rule.summary, language))

    def bounds(self, own: Mapping[str, int]) -> Bounds:
        """By the account's own numbers."""
        refused = list(self._bounds(decision_pb2.EFFECT_DENY, own))
        elsewhere = refused + list(self._bounds(decision_pb2.EFFECT_REDIRECT, own))
        approved = list(self._bounds(decision_pb2.EFFECT_ESCALATE, own))
        return Bounds(
            soonest=max(_of(refused, "lead", "low"), default=-1) + 1,
            days=min((number - 1 for number in _of(refused, "days_ahead", "high")), default=None),
            shortest=max(_of(elsewhere, "duration", "low"), default=0),
            fewest=max(_of(elsewhere, "participant_count", "low"), default=0),
            large=min(_of(approved, "participant_count", "high"), default=0),
        )

    def _bounds(self, effect: int, own: Mapping[str, int]) -> Iterator[Bound]:
        numbers = self.numbers(own)
        for rule in self.rules(api.ACTION_CREATE):
            for each in rule.comparisons if rule.effect == effect else ():
                number = numbers[each.threshold] if each.threshold else each.value
                if each.alone and each.operator in _LOW:
                    yield each.measure, "low", number + _LOW[each.operator]
                elif each.alone and each.operator in _HIGH:
                    yield each.measure, "high", number + _HIGH[each.operator]


@dataclass(frozen=True, slots=True)
class Line:
    """One rule beside one request."""

    rule_id: str
    tone: str
    text: str
    figure: str
    remedy: str
    stated: str
    link: str = ""
    """Where the remedy is to be had, if that is a page elsewhere."""


def _write(found: re.Match[str], numbers: Mapping[str, int], language: str) -> str:
    value = numbers.get(found[1])
    if value is None:
        return found[0]
    if found[2] == "duration":
        return show_duration(timedelta(seconds=value), language)
    return f"{value} {found[3] if value == 1 else found[4]}" if found[2] == "plural" else str(value)


def _of(bounds: list[Bound], measure: str, side: str) -> list[int]:
    return [number for what, where, number in bounds if (what, where) == (measure, side)]


async def in_force(request: Request) -> tuple[api.PolicyVersion, PolicyInForce]:
    """Raises grpc.aio.AioRpcError."""
    answer = await ask(request, services_of(request).policy.GetPolicy, api.GetPolicyRequest())
    return answer.policy, PolicyInForce(answer.description)


def deciding(lines: Sequence[Line], decision: decision_pb2.Decision) -> list[Line]:
    """Those because of which it is as it is: what else spoke would not have been enough."""
    return [line for line in lines if line.tone == TONES.get(decision.effect)] if decision.rules else []


def lines(policy: PolicyInForce, decision: decision_pb2.Decision, language: str) -> list[Line]:
    """Every rule for new reservations, those that object first; with the person's figures."""
    fired = {rule.rule_id: rule for rule in decision.rules}
    asked = policy.rules(api.ACTION_CREATE)
    listed = [_line(policy, rule, fired.get(rule.rule_id), decision, language) for rule in asked]
    return sorted(listed, key=lambda line: line.tone == "good")


def _line(
    policy: PolicyInForce,
    rule: api.RuleDescription,
    fired: decision_pb2.FiredRule | None,
    decision: decision_pb2.Decision,
    language: str,
) -> Line:
    stated = policy.sentence(rule, language, decision.thresholds)
    figure = _figure(rule, decision, language)
    if fired is None:
        return Line(rule.rule_id, "good", stated, figure, "", stated)
    return _told(fired, language, figure, stated)


def fired_lines(decision: decision_pb2.Decision, language: str) -> list[Line]:
    """Only what spoke: for decisions of the past, whose policy may be another."""
    return [_told(rule, language, "", "") for rule in decision.rules]


def _told(rule: decision_pb2.FiredRule, language: str, figure: str, stated: str) -> Line:
    reason, link = own_words(rule.reason, language), rule.remedy.link
    return Line(rule.rule_id, TONES[rule.effect], reason, figure, remedy(rule, language), stated, link)


def own_words(text: decision_pb2.LocalizedText, language: str) -> str:
    return text.zh_cn if language == CHINESE else text.en


def remedy(rule: decision_pb2.FiredRule, language: str) -> str:
    return own_words(rule.remedy.text, language) if rule.HasField("remedy") else ""


def name_of(quota: decision_pb2.QuotaUsage, language: str) -> str:
    """What its period is called; of decisions from before periods had names, the rule's id."""
    return own_words(quota.name, language) or quota.rule_id


def _figure(rule: api.RuleDescription, decision: decision_pb2.Decision, language: str) -> str:
    """The person's own figures that the rule looks at; beside the rule's number when it compares just one."""
    seen = [each for each in rule.comparisons if each.fact in decision.facts and _is_figure(each)]
    own = [_short(decision.facts[each.fact], each.unit, language) for each in seen]
    if len(seen) == 1 and seen[0].threshold:
        limit, unit = decision.thresholds.get(seen[0].threshold, 0), seen[0].unit
        own.append(_span(limit, language) if unit == "seconds" else str(limit))
        return " / ".join(own)
    return " · ".join(dict.fromkeys(own))


def _is_figure(each: api.ComparisonDescription) -> bool:
    """Something that people would count: not yes or no, a moment, or what is left of a suspension that may not be."""
    return each.unit not in {"flag", "moment"} and each.measure != "suspension_remaining"


def _short(value: int, unit: str, language: str) -> str:
    if unit == "seconds":
        return _span(value, language)
    words = _WORDS.get(unit)
    return words.to(language, number=value) if words else str(value)


def _span(seconds: int, language: str) -> str:
    return show_duration(timedelta(seconds=seconds), language, parts=2, smallest="minute")


_WORDS: Mapping[str, Text] = {
    "rooms": message("{number} free"),
    "people": message("{number} people"),
    "escalations": message("asked {number} today"),
}
"""By what is counted."""
