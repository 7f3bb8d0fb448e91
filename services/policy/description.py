"""What a version says, in the words of the contracts: nobody else needs to know the form of its YAML."""

from yunhui.policy.v1 import decision_pb2 as decision
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.checks import unit_of
from services.policy.conditions import comparisons, predicate
from services.policy.document import Compare, DepartmentScope, Document, Measure, Override, Reason, Rule

ORDINARY = {
    "lead": 86_400, "committed_lead": 86_400, "days_ahead": 1, "duration": 3_600, "participant_count": 10,
    "free_room_count": 1, "extends": 1, "escalates_anew": 1,
}  # fmt: skip
"""A request that nobody minds: tomorrow, for an hour, with ten people. Other measures are 0, as counts are."""


def describe(document: Document) -> pb.PolicyDescription:
    return pb.PolicyDescription(
        zone=document.zone,
        precedence=[_effect(name) for name in document.precedence],
        rules=[_rule(document, rule) for rule in document.rules],
        thresholds={name: pb.Threshold(value=each.value, unit=each.unit) for name, each in document.thresholds.items()},
        overrides=[_override(each) for each in document.overrides],
    )


def _rule(document: Document, rule: Rule) -> pb.RuleDescription:
    return pb.RuleDescription(
        rule_id=rule.id,
        actions=[pb.Action.Value(f"ACTION_{name}") for name in rule.on],
        effect=_effect(rule.effect),
        summary=_text(rule.summary),
        comparisons=[_comparison(document, rule, compare) for _, compare in comparisons(rule.when)],
        obligations=[
            pb.ObligationDescription(
                kind=decision.Obligation.Kind.Value(f"KIND_{each.kind}"), address=each.address or ""
            )
            for each in rule.obligations
        ],
    )


def _comparison(document: Document, rule: Rule, compare: Compare) -> pb.ComparisonDescription:
    fact = document.facts[compare.fact]
    return pb.ComparisonDescription(
        fact=compare.fact,
        measure=fact.measure if isinstance(fact, Measure) else fact.count,
        operator=compare.op,
        threshold=compare.threshold or "",
        value=compare.value or 0,
        unit=unit_of(fact),
        alone="CREATE" in rule.on and _decides_alone(document, rule, compare),
    )


def _decides_alone(document: Document, rule: Rule, compare: Compare) -> bool:
    """Of an ordinary request, on both sides of the number the rule fires exactly when the comparison holds."""
    thresholds = {name: each.value for name, each in document.thresholds.items()}
    ordinary = {
        name: ORDINARY.get(fact.measure, 0) if isinstance(fact, Measure) else 0 for name, fact in document.facts.items()
    }
    number = thresholds[compare.threshold] if compare.threshold else compare.value or 0
    near = [ordinary | {compare.fact: number + step} for step in (-1, 0, 1)]
    fires = [predicate(rule.when)(facts, thresholds) for facts in near]
    return any(fires) and fires == [predicate(compare)(facts, thresholds) for facts in near]


def _override(override: Override) -> pb.OverrideDescription:
    found = pb.OverrideDescription(role=override.role or "", thresholds=override.thresholds)
    if isinstance(override.department, DepartmentScope):
        found.department_id, found.below = override.department.id, override.department.below
    else:
        found.department = override.department or ""
    return found


def _effect(name: str) -> decision.Effect.ValueType:
    return decision.Effect.Value(f"EFFECT_{name}")


def _text(text: Reason) -> decision.LocalizedText:
    return decision.LocalizedText(zh_cn=text.zh_cn, en=text.en)
