"""Whether a policy holds together: names that exist, units that fit, sentences that can be filled, no ambiguity."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from services.policy import remedies
from services.policy.conditions import branches, comparisons
from services.policy.document import (
    LONGEST,
    MAX_FIRED,
    MAX_INTEGER,
    MAX_RULES,
    Compare,
    DepartmentScope,
    Document,
    EffectName,
    EscalationCount,
    Fact,
    Measure,
    MoveName,
    Obligation,
    Reason,
    Remedy,
    ReservationCount,
    Rule,
    ViolationCount,
)
from services.policy.sentences import FITTING_SPECS, Sentence
from services.policy.yaml_source import InvalidPolicyError, read_yaml

Complaint = tuple[tuple[str | int, ...], str]
"""Where in the document, and what is wrong."""

_MEASURE_UNITS = {
    "start": "moment", "end": "moment", "now": "moment", "suspension_end": "moment", "lead": "seconds",
    "elapsed": "seconds", "duration": "seconds", "suspension_remaining": "seconds", "days_ahead": "days",
    "participant_count": "people", "free_room_count": "rooms", "extends": "flag", "entered": "flag",
    "postpones": "flag", "committed_start": "moment", "committed_lead": "seconds", "escalates_anew": "flag",
    "unverified": "flag", "free_account": "flag", "closed_account": "flag",
}  # fmt: skip
_EFFECTS: tuple[EffectName, ...] = ("ALLOW", "ESCALATE", "REDIRECT", "DENY")
_OBLIGATION_NEEDS = {
    "CHECK_ATTENDANCE": {"seconds"}, "RELEASE_ROOM": set[str](), "RECORD_VIOLATION": set[str](),
    "SUSPEND": {"seconds", "violations"}, "NOTIFY_SUPPORT": {"address"}, "EXPIRE_ESCALATION": {"seconds"},
}  # fmt: skip
_OBLIGATION_MAY = {"CHECK_ATTENDANCE": {"early"}}


def read_document(text: str) -> Document:
    """Raises InvalidPolicyError with every fault found."""
    source = read_yaml(text)
    try:
        document = Document.model_validate(source.data)
    except ValidationError as error:
        raise InvalidPolicyError([source.fault(*worded(item)) for item in error.errors()]) from error
    faults = [source.fault(*complaint) for complaint in complaints(document)]
    if faults:
        raise InvalidPolicyError(faults)
    return document


def unit_of(fact: Fact) -> str:
    return _MEASURE_UNITS[fact.measure] if isinstance(fact, Measure) else fact.count


def worded(error: Mapping[str, Any]) -> tuple[tuple[str | int, ...], str]:
    """A validation error in the words of the file: the path to look up, and the message."""
    path = tuple(step for step in error["loc"] if step != "[key]")
    name = next((step for step in reversed(path) if isinstance(step, str)), "policy")
    given = f", not {str(error['input'])[:60]!r}"
    context = error.get("ctx", {})
    match error["type"]:
        case "unknown_key":
            return (*path, context["key"]), error["msg"]
        case "missing":
            return path, f"{name!r} is missing"
        case "int_type":
            return path, f"{name!r} must be a whole number{given}"
        case "greater_than_equal" | "less_than_equal":
            return path, f"{name!r} must be between 0 (a literal value: -{MAX_INTEGER}) and {MAX_INTEGER}{given}"
        case "literal_error":
            return path, f"{name!r} must be {context['expected']}{given}"
        case "string_pattern_mismatch":
            return path, f"{name!r} must look like {context['pattern']}{given}"
    return path, f"{name!r}: {error['msg']}"


def complaints(document: Document) -> Iterator[Complaint]:
    yield from _check_frame(document)
    for name, fact in document.facts.items():
        yield from _check_fact(document, name, fact)
    yield from _check_size(document.rules)
    for index, rule in enumerate(document.rules):
        for path, message in _check_rule(document, rule):
            yield ("rules", index, *path), message
    for index, obligation in enumerate(document.obligations):
        for path, message in _check_obligation(document, obligation):
            yield ("obligations", index, *path), message
    yield from _check_overrides(document)


def _check_frame(document: Document) -> Iterator[Complaint]:
    try:
        ZoneInfo(document.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield ("zone",), f"no time zone {document.zone!r}; give an IANA name such as Asia/Shanghai"
    if sorted(document.precedence) != sorted(_EFFECTS):
        yield ("precedence",), f"must list each effect once: {', '.join(_EFFECTS)}, strongest first"
    elif document.precedence[-1] != "ALLOW":
        yield ("precedence",), "ALLOW must come last: it is the answer when no rule fires"
    for name, threshold in document.thresholds.items():
        yield from _check_span(document, ("thresholds", name, "value"), name, threshold.value)
    for name in sorted(document.thresholds.keys() & document.facts.keys()):
        yield ("facts", name), f"{name!r} is a threshold too; a name means one thing"


def _check_fact(document: Document, name: str, fact: Fact) -> Iterator[Complaint]:
    path = ("facts", name)
    if isinstance(fact, ReservationCount):
        if (fact.period == "rolling_days") != (fact.days is not None):
            yield path, "`days` names the length of a rolling_days period, and belongs to no other"
        if ("CANCELLED" in fact.statuses) == (fact.cancelled_within is not None):
            yield path, "list CANCELLED to count every cancelled one, or give cancelled_within to count the late ones"
        yield from _check_threshold(document, (*path, "days"), fact.days, "days")
        yield from _check_threshold(document, (*path, "cancelled_within"), fact.cancelled_within, "seconds")
    elif isinstance(fact, ViolationCount):
        yield from _check_threshold(document, (*path, "within"), fact.within, "seconds")
    elif isinstance(fact, Measure):
        yield from _check_measure(document, path, fact)


def _check_measure(document: Document, path: tuple[str | int, ...], fact: Measure) -> Iterator[Complaint]:
    if (unit_of(fact) == "seconds") != (fact.round is not None):
        yield path, "`round: down` or `round: up` belongs to a span of time, and only there"
    if fact.measure.startswith("committed_") != (fact.within is not None):
        yield path, "`within` says for what is committed how late is too late, and belongs only there"
    yield from _check_threshold(document, (*path, "within"), fact.within, "seconds")
    if fact.early and fact.measure != "entered":
        yield path, "`early` belongs to entered, and to no other measure"
    yield from _check_threshold(document, (*path, "early"), fact.early, "seconds")


def _check_threshold(
    document: Document, path: tuple[str | int, ...], name: str | None, unit: str
) -> Iterator[Complaint]:
    if name is None:
        return
    threshold = document.thresholds.get(name)
    if threshold is None:
        yield path, f"no threshold {name!r}; {_one_of(document.thresholds)}"
    elif threshold.unit != unit:
        yield path, f"threshold {name!r} is in {threshold.unit}; here it must be in {unit}"


def _check_span(document: Document, path: tuple[str | int, ...], name: str, value: int) -> Iterator[Complaint]:
    unit = document.thresholds[name].unit
    if unit == "flag" and value > 1:
        yield path, f"{name!r} is a flag: 1 for yes, 0 for no, not {value}"
    if value > LONGEST.get(unit, value):
        yield path, f"{name!r} is longer than a century; at most {LONGEST[unit]} {unit}"


def _check_size(rules: Sequence[Rule]) -> Iterator[Complaint]:
    seen: set[str] = set()
    total = 0
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield ("rules", index, "id"), f"{rule.id!r} is used twice; give each rule its own id"
        seen.add(rule.id)
        size = branches(rule.when)
        total += size
        if size > MAX_FIRED or total > MAX_RULES:
            yield (
                ("rules", index, "when"),
                f"more than {MAX_FIRED} alternatives in one condition or {MAX_RULES} in all; "
                "an `any` counts its parts, inside an `all` they multiply: use fewer",
            )
            return


def _check_rule(document: Document, rule: Rule) -> Iterator[Complaint]:
    if len(set(rule.on)) != len(rule.on):
        yield ("on",), "each action once"
    unknown = False
    for place, compare in comparisons(rule.when):
        unknown = unknown or compare.fact not in document.facts
        yield from _check_compare(document, ("when", *place), compare)
    for index, obligation in enumerate(rule.obligations):
        for path, message in _check_obligation(document, obligation):
            yield ("obligations", index, *path), message
    for language, text in (("zh-CN", rule.reason.zh_cn), ("en", rule.reason.en)):
        for message in _check_sentence(document, text, language):
            yield ("reason", language), message
    yield from _check_summary(document, rule.summary)
    if not unknown:
        yield from _check_remedy(document, rule)


def _check_remedy(document: Document, rule: Rule) -> Iterator[Complaint]:
    if rule.remedy is None and {"CREATE", "UPDATE"}.intersection(rule.on):
        yield (), "say what helps with `remedy:`, or `remedy: none` where nothing does"
    if not isinstance(rule.remedy, Remedy):
        return
    moves = rule.remedy.moves or []
    if len(set(moves)) != len(moves):
        yield ("remedy", "moves"), "each move once"
    for move in moves:
        fitting = _MOVED_BY[move]
        if not any(_is_moved(document.facts[each.fact], fitting) for _, each in comparisons(rule.when)):
            yield (
                ("remedy", "moves"),
                f"{move} cannot help: the rule compares nothing that depends on {_listed(fitting)}",
            )
    for language, text in (("zh-CN", rule.remedy.zh_cn), ("en", rule.remedy.en)):
        for message in _check_sentence(document, text, language, remedies.UNITS if moves else None):
            yield ("remedy", language), message


def _is_moved(fact: Fact, fitting: set[str]) -> bool:
    if isinstance(fact, ReservationCount):
        return fact.of in fitting
    if isinstance(fact, EscalationCount):
        return "now" in fitting
    return isinstance(fact, Measure) and fact.measure in fitting


_STARTS = {"start", "lead", "days_ahead"}
_MOVED_BY: dict[MoveName, set[str]] = {
    "another_day": _STARTS,
    "later_start": _STARTS,
    "longer": {"end", "duration"},
    "more_people": {"participant_count"},
    "fewer_people": {"participant_count"},
    "wait": {"now", "lead", "days_ahead", "suspension_remaining"},
    "when_free": {"free_room_count"},
    "as_held": {"extends"},
}


def _check_compare(document: Document, path: tuple[str | int, ...], compare: Compare) -> Iterator[Complaint]:
    fact = document.facts.get(compare.fact)
    if fact is None:
        yield (*path, "fact"), f"no fact {compare.fact!r}; {_one_of(document.facts)}"
    else:
        yield from _check_threshold(document, (*path, "threshold"), compare.threshold, unit_of(fact))


def _check_obligation(document: Document, obligation: Obligation) -> Iterator[Complaint]:
    needs = _OBLIGATION_NEEDS[obligation.kind]
    given = {key for key in ("seconds", "address", "violations", "early") if getattr(obligation, key) is not None}
    if needs != given - _OBLIGATION_MAY.get(obligation.kind, set()):
        yield (), f"{obligation.kind} takes {_listed(needs)}, not {_listed(given)}"
    yield from _check_threshold(document, ("seconds",), obligation.seconds, "seconds")
    yield from _check_threshold(document, ("early",), obligation.early, "seconds")
    if obligation.violations and not isinstance(document.facts.get(obligation.violations), ViolationCount):
        yield ("violations",), f"{obligation.violations!r} is not a fact that counts violations"


def _check_sentence(
    document: Document, text: str, language: str, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    try:
        fields = Sentence(text, language, ZoneInfo("UTC")).fields
    except ValueError as error:
        yield str(error)
        return
    units: dict[str, str] = {name: threshold.unit for name, threshold in document.thresholds.items()}
    units.update({name: unit_of(fact) for name, fact in document.facts.items()})
    units.update(more or {})
    for name, spec in fields:
        if name not in units:
            yield f"{{{name}}} is neither a fact nor a threshold; {_one_of(units)}"
        elif spec not in (fitting := FITTING_SPECS.get(units[name], ("", "plural"))):
            yield f"{name!r} is in {units[name]} and is written with {' or '.join(fitting) or 'nothing'}, not {spec!r}"


def _check_summary(document: Document, summary: Reason) -> Iterator[Complaint]:
    for language, text in (("zh-CN", summary.zh_cn), ("en", summary.en)):
        for message in _check_sentence(document, text, language):
            yield ("summary", language), message
        for name in _facts_named(document, text, language):
            yield ("summary", language), f"{{{name}}} is a fact of one request; a summary names thresholds only"


def _facts_named(document: Document, text: str, language: str) -> list[str]:
    try:
        fields = Sentence(text, language, ZoneInfo("UTC")).fields
    except ValueError:  # told already
        return []
    return [name for name, _ in fields if name in document.facts]


def _check_overrides(document: Document) -> Iterator[Complaint]:
    seen: set[tuple[str | DepartmentScope | None, str | None]] = set()
    for index, override in enumerate(document.overrides):
        scope = (override.department, override.role)
        if scope in seen:
            yield ("overrides", index), "this department and role have an override already; put both into one"
        seen.add(scope)
        for name, value in override.thresholds.items():
            path = ("overrides", index, "thresholds", name)
            if name not in document.thresholds:
                yield path, f"no threshold {name!r}; {_one_of(document.thresholds)}"
            else:
                yield from _check_span(document, path, name, value)


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys)) or "nothing"


def _one_of(names: Mapping[str, object]) -> str:
    return f"there are {', '.join(sorted(names))}" if names else "none are declared"
