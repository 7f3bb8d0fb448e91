"""Compiles a policy: what each action needs of it is prepared once, so that a decision only looks things up."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from yunhui.policy.v1 import decision_pb2 as pb

from services.policy import facts
from services.policy.conditions import Predicate, comparisons, predicate
from services.policy.document import (
    ActionName,
    Document,
    EffectName,
    Measure,
    Obligation,
    PeriodName,
    Remedy,
    ReservationCount,
    Rule,
)
from services.policy.engine import Rulebook
from services.policy.periods import PeriodCalendar
from services.policy.remedies import CompiledRemedy
from services.policy.sentences import Sentence

ACTIONS: tuple[ActionName, ...] = ("CREATE", "UPDATE", "CANCEL", "NO_SHOW")


@dataclass(frozen=True, slots=True)
class CompiledObligation:
    rule_id: str
    kind: pb.Obligation.Kind.ValueType
    seconds: str | None
    address: str | None
    violations: str | None
    early: str | None


@dataclass(frozen=True, slots=True)
class CompiledRule:
    id: str
    effect: EffectName
    effect_value: pb.Effect.ValueType
    zh_cn: Sentence
    en: Sentence
    facts: tuple[str, ...]
    thresholds: tuple[str, ...]
    quotas: tuple[tuple[str, str, PeriodName], ...]
    """Fact, threshold and kind of period of each count of reservations that the rule limits."""
    obligations: tuple[CompiledObligation, ...]
    holds: Predicate
    remedy: CompiledRemedy | None


@dataclass(frozen=True, slots=True)
class CompiledAction:
    rulebook: Rulebook
    rules: dict[str, CompiledRule]
    """In the order of the policy."""
    measures: tuple[tuple[str, facts.Derivation], ...]
    counts: tuple[tuple[str, facts.Count], ...]
    quotas: tuple[tuple[str, str, str, PeriodName], ...]
    """Rule, fact, threshold and kind of period of every quota."""
    standing: dict[pb.Effect.ValueType, tuple[CompiledObligation, ...]]


def compile_action(document: Document, calendar: PeriodCalendar, action: ActionName) -> CompiledAction:
    zone = ZoneInfo(document.zone)
    rules = [rule for rule in document.rules if action in rule.on]
    compiled = {rule.id: _compile_rule(document, rule, zone) for rule in rules}
    needed = {name for rule in compiled.values() for name in _needed(rule, document)}
    declared = [(name, fact) for name, fact in document.facts.items() if name in needed]
    return CompiledAction(
        Rulebook(action, [(rule.id, rule.when) for rule in rules]),
        compiled,
        tuple((name, facts.measure(fact, calendar)) for name, fact in declared if isinstance(fact, Measure)),
        tuple((name, facts.count(fact, calendar)) for name, fact in declared if not isinstance(fact, Measure)),
        tuple((rule.id, *quota) for rule in compiled.values() for quota in rule.quotas),
        {
            pb.Effect.Value(f"EFFECT_{effect}"): tuple(_standing(document, action, effect))
            for effect in document.precedence
        },
    )


def _compile_rule(document: Document, rule: Rule, zone: ZoneInfo) -> CompiledRule:
    compares = [compare for _, compare in comparisons(rule.when)]
    limits = ((compare.fact, compare.threshold) for compare in compares if compare.threshold)
    return CompiledRule(
        rule.id,
        rule.effect,
        pb.Effect.Value(f"EFFECT_{rule.effect}"),
        Sentence(rule.reason.zh_cn, "zh-CN", zone),
        Sentence(rule.reason.en, "en", zone),
        tuple(dict.fromkeys(compare.fact for compare in compares)),
        tuple(dict.fromkeys(compare.threshold for compare in compares if compare.threshold)),
        tuple(
            (fact, threshold, count.period)
            for fact, threshold in dict.fromkeys(limits)
            if isinstance(count := document.facts[fact], ReservationCount)
        ),
        tuple(_compile_obligation(rule.id, obligation) for obligation in rule.obligations),
        predicate(rule.when),
        _compile_remedy(rule.remedy, zone) if isinstance(rule.remedy, Remedy) else None,
    )


def _compile_remedy(remedy: Remedy, zone: ZoneInfo) -> CompiledRemedy:
    zh_cn, en = Sentence(remedy.zh_cn, "zh-CN", zone), Sentence(remedy.en, "en", zone)
    return CompiledRemedy(tuple(remedy.moves or ()), zh_cn, en, remedy.link or "")


def _compile_obligation(rule_id: str, obligation: Obligation) -> CompiledObligation:
    kind = pb.Obligation.Kind.Value(f"KIND_{obligation.kind}")
    return CompiledObligation(
        rule_id, kind, obligation.seconds, obligation.address, obligation.violations, obligation.early
    )


def _standing(document: Document, action: ActionName, effect: EffectName) -> Iterator[CompiledObligation]:
    for obligation in document.obligations:
        if action in obligation.on and effect in obligation.effects:
            yield _compile_obligation("", obligation)


def _needed(rule: CompiledRule, document: Document) -> Iterator[str]:
    """The facts that a rule compares, tells, or hands on with an obligation."""
    yield from rule.facts
    sentences = [rule.zh_cn, rule.en, *((rule.remedy.zh_cn, rule.remedy.en) if rule.remedy else ())]
    yield from (name for sentence in sentences for name, _ in sentence.fields if name in document.facts)
    yield from (obligation.violations for obligation in rule.obligations if obligation.violations)
