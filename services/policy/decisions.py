"""A policy that decides: the policy decision point (PDP) of the platform, pure and without any state about accounts."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

from yunhui.policy.v1 import decision_pb2 as pb
from yunhui.policy.v1.policy_service_pb2 import (
    AllowedSubjectsRequest,
    DecideRequest,
    HistoryWindow,
    Usage,
    UsageRequest,
)

from services.policy import windows
from services.policy.checks import read_document
from services.policy.compiler import ACTIONS, CompiledAction, CompiledObligation, CompiledRule, compile_action
from services.policy.document import Document, EffectName
from services.policy.facts import CountResult, calendar_of
from services.policy.questions import (
    SECOND,
    InvalidRequestError,
    Question,
    UntoldError,
    read_question,
    read_usage_question,
    read_variants,
    starts,
)
from services.policy.remedies import UNITS, Aims, CompiledRemedy, find
from services.policy.thresholds import MOST_KEPT, Thresholds
from services.policy.usage import CompiledUsage, fill_quota, to_timestamp

__all__ = ["InvalidRequestError", "Policy"]


class Policy:
    """One version of the rules, compiled. Safe to share between threads."""

    def __init__(self, document: Document, version: str) -> None:
        self.document = document
        self.version = version
        self._calendar = calendar_of(document)
        self._compiled: dict[str, CompiledAction] = {
            action: compile_action(document, self._calendar, action) for action in ACTIONS
        }
        self._usage = CompiledUsage(document, self._calendar, self._compiled["CREATE"].quotas)
        self._thresholds = Thresholds(document)
        self.window = self._window()
        self._seconds_later = windows.seconds_later(document)
        self._blanks: dict[tuple[int, ...], pb.Decision] = {}

    @classmethod
    def load(cls, source: str, version: str = "") -> Self:
        """From YAML text; `version` as published. Raises InvalidPolicyError with every fault and its line."""
        document = read_document(source)
        return cls(document, version or f"{document.name}@draft")

    def with_numbers(self, document: Document) -> "Policy":
        """The same rules with other numbers, sharing what is compiled. Do not close the result."""
        if document.model_copy(update=_numbers_of(self.document)) != self.document:
            raise ValueError("only thresholds and overrides may differ")
        varied = object.__new__(Policy)
        varied.__dict__.update(self.__dict__)
        varied.document = document
        varied._thresholds = Thresholds(document)
        varied.window = varied._window()
        return varied

    def _window(self) -> HistoryWindow:
        counted = {name for compiled in self._compiled.values() for name, _ in compiled.counts}
        return windows.window_of(self.document, self.version, counted)

    def close(self) -> None:
        """Frees the compiled rules of a retired version."""
        for compiled in self._compiled.values():
            compiled.rulebook.close()

    def decide(self, request: DecideRequest) -> pb.Decision:
        """The same request always gets the same decision, bit for bit. Raises InvalidRequestError naming the field."""
        question = read_question(request)
        self._check_version(request)
        windows.check(request.history, starts(question), question.now, self.window)
        compiled = self._compiled[question.action]
        thresholds = self._thresholds.in_force(request.account)
        facts, tallies, fired = self._judge(compiled, question, thresholds)
        decision = self._answer(request, compiled, question, fired, facts, thresholds)
        for rule, told in zip(fired, decision.rules, strict=True):
            aims = self._find_remedy(compiled, rule, question, thresholds)
            if rule.remedy and _is_told(rule.remedy, aims):
                self._tell_remedy(told, rule.remedy, aims, question, {**facts, **thresholds})
                decision.facts.update({_aim_key(rule.id, name): value for name, value in aims.items()})
        decision.decision_id = request.decision_id or self._derive_id(request)
        decision.obligations.extend(_obligations(compiled, fired, decision.effect, question, thresholds, tallies))
        _add_quotas(decision, compiled, question, thresholds, tallies)
        return decision

    def allowed(self, request: AllowedSubjectsRequest) -> list[int]:
        """The places of the candidates that `decide` would allow, as many as are wanted. Raises InvalidRequestError."""
        if request.most < 1:
            raise InvalidRequestError("most", "must be 1 or more")
        asked, found = request.question, list[int]()
        self._check_version(asked)
        thresholds = self._thresholds.in_force(asked.account)
        for index, question in enumerate(read_variants(request)):
            windows.check(asked.history, starts(question), question.now, self.window)
            _, _, fired = self._judge(self._compiled[question.action], question, thresholds)
            if self._strongest(fired) == "ALLOW":
                found.append(index)
            if len(found) == request.most:
                break
        return found

    def usage(self, request: UsageRequest) -> Usage:
        """What is used of the quotas of new reservations, without one in question. Raises InvalidRequestError."""
        question = read_usage_question(request)
        windows.check(request.history, [question.time], question.now, self.window)
        thresholds = self._thresholds.in_force(request.account)
        usage = self._usage.usage(question, thresholds)
        usage.policy_version = self.version
        return usage

    def replay(self, request: DecideRequest, stored: pb.Decision) -> pb.Decision:
        """Decides again from the facts in `stored`; `request` needs no history. Equal to `stored`, bit for bit.

        What only the history knows is taken over as it is: quotas, and which violations a suspension used up.
        Raises InvalidRequestError when the facts are not those that this version compares.
        """
        question = read_question(request)
        compiled = self._compiled[question.action]
        thresholds = self._thresholds.in_force(request.account)
        wanted = {name for name, _ in (*compiled.measures, *compiled.counts)}
        facts = {name: value for name, value in stored.facts.items() if name in wanted}
        if facts.keys() != wanted:
            raise InvalidRequestError("decision.facts", f"{', '.join(sorted(wanted - facts.keys()))} missing")
        fired = [compiled.rules[rule_id] for rule_id in compiled.rulebook.fired(facts, thresholds)]
        decision = self._answer(request, compiled, question, fired, facts, thresholds)
        for rule, told in zip(fired, decision.rules, strict=True):
            aims = {name: stored.facts[key] for name in UNITS if (key := _aim_key(rule.id, name)) in stored.facts}
            if rule.remedy and _is_told(rule.remedy, aims):
                self._tell_remedy(told, rule.remedy, aims, question, {**facts, **thresholds})
                decision.facts.update({_aim_key(rule.id, name): value for name, value in aims.items()})
        decision.decision_id = stored.decision_id
        decision.obligations.extend(
            _obligations(compiled, fired, decision.effect, question, thresholds, _used_up(stored))
        )
        decision.quotas.extend(stored.quotas)
        return decision

    def _check_version(self, request: DecideRequest) -> None:
        if request.policy_version not in ("", self.version):
            raise InvalidRequestError("policy_version", f"this is {self.version}, not {request.policy_version[:100]!r}")

    def _judge(
        self, compiled: CompiledAction, question: Question, thresholds: Mapping[str, int]
    ) -> tuple[dict[str, int], dict[str, CountResult], list[CompiledRule]]:
        """As _weigh; what holds no room and would be allowed to go on is weighed as taking one."""
        weighed = _weigh(compiled, question, thresholds)
        if self._strongest(weighed[2]) == "ALLOW" and question.former and not question.former.seats:
            question.takes_room = True
            weighed = _weigh(compiled, question, thresholds)
        return weighed

    def _answer(
        self,
        request: DecideRequest,
        compiled: CompiledAction,
        question: Question,
        fired: Sequence[CompiledRule],
        facts: Mapping[str, int],
        thresholds: Mapping[str, int],
    ) -> pb.Decision:
        decision = pb.Decision()
        decision.CopyFrom(self._blank(thresholds))
        for name, value in facts.items():  # a map's own update() is three times slower
            decision.facts[name] = value
        if fired:
            year = self._calendar.year(question.now // SECOND)
            decision.effect = pb.Effect.Value(f"EFFECT_{self._strongest(fired)}")
            decision.rules.extend([_explain(rule, facts, thresholds, year) for rule in fired])
        return decision

    def _blank(self, thresholds: Mapping[str, int]) -> pb.Decision:
        """What every decision under these thresholds begins with; filling a map anew each time is slow."""
        scope = tuple(thresholds.values())
        found = self._blanks.get(scope)
        if found is None:
            if len(self._blanks) >= MOST_KEPT:
                self._blanks.clear()
            found = pb.Decision(effect=pb.EFFECT_ALLOW, policy_version=self.version, thresholds=thresholds)
            self._blanks[scope] = found
        return found

    def _find_remedy(
        self, compiled: CompiledAction, rule: CompiledRule, question: Question, thresholds: Mapping[str, int]
    ) -> Aims:
        """Empty where no change helps. Raises ShortHistoryError where it comes to what is not told."""
        if not (moves := rule.remedy.moves if rule.remedy else ()):
            return {}
        measures = [(name, derive) for name, derive in compiled.measures if name in rule.facts]
        counts = [(name, tally) for name, tally in compiled.counts if name in rule.facts]
        facts: dict[str, int] = {}

        def silent(changed: Question) -> bool:
            for name, derive in measures:
                facts[name] = derive(changed, thresholds)
            for name, tally in counts:
                facts[name] = tally(changed, thresholds).value
            return not rule.holds(facts, thresholds)

        try:
            return find(moves, question, silent, self._calendar) or {}
        except UntoldError as error:
            needed = windows.with_remedies(self.window, self._seconds_later, question)
            raise windows.ShortHistoryError(error.field, needed) from error

    def _tell_remedy(
        self, told: pb.FiredRule, remedy: CompiledRemedy, aims: Aims, question: Question, figures: Mapping[str, int]
    ) -> None:
        """What stays as it is keeps its value, so that a sentence may name it all the same."""
        as_asked = {
            "new_start_time": question.start // SECOND,
            "new_end_time": question.end // SECOND,
            "new_participant_count": question.participant_count,
            "available_from": question.now // SECOND,
        }
        known, year = {**figures, **as_asked, **aims}, self._calendar.year(question.now // SECOND)
        told.remedy.text.zh_cn, told.remedy.text.en = remedy.zh_cn.fill(known, year), remedy.en.fill(known, year)
        told.remedy.link = remedy.link
        for field, name in _CHANGED_FIELDS:
            if name in aims:
                told.remedy.changes.add(field=field, value=_to_json(name, aims[name]))
        if "available_from" in aims:
            told.remedy.available_from.seconds = aims["available_from"]

    def _strongest(self, fired: Sequence[CompiledRule]) -> EffectName:
        effects = {rule.effect for rule in fired}
        return next((effect for effect in self.document.precedence if effect in effects), "ALLOW")

    def _derive_id(self, request: DecideRequest) -> str:
        """From the content and the version that answers, so that the same question asked again is the same decision."""
        content = self.version.encode() + b"\0" + request.SerializeToString(deterministic=True)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def _numbers_of(document: Document) -> dict[str, object]:
    return {"thresholds": document.thresholds, "overrides": document.overrides}


def _weigh(
    compiled: CompiledAction, question: Question, thresholds: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, CountResult], list[CompiledRule]]:
    """The figures, what was counted for them, and the rules that fire."""
    tallies = {name: tally(question, thresholds) for name, tally in compiled.counts}
    facts = {name: derive(question, thresholds) for name, derive in compiled.measures}
    facts.update((name, tally.value) for name, tally in tallies.items())
    return facts, tallies, [compiled.rules[rule_id] for rule_id in compiled.rulebook.fired(facts, thresholds)]


def _explain(rule: CompiledRule, facts: Mapping[str, int], thresholds: Mapping[str, int], year: int) -> pb.FiredRule:
    figures = {**facts, **thresholds}
    return pb.FiredRule(
        rule_id=rule.id,
        effect=rule.effect_value,
        reason=pb.LocalizedText(zh_cn=rule.zh_cn.fill(figures, year), en=rule.en.fill(figures, year)),
        thresholds=[pb.Figure(name=name, value=thresholds[name]) for name in rule.thresholds],
        figures=[pb.Figure(name=name, value=facts[name]) for name in rule.facts],
    )


def _obligations(
    compiled: CompiledAction,
    fired: Sequence[CompiledRule],
    effect: pb.Effect.ValueType,
    question: Question,
    thresholds: Mapping[str, int],
    tallies: Mapping[str, CountResult],
) -> list[pb.Obligation]:
    """Of the rules that won; a refused request must not also write to support."""
    owed = [item for rule in fired if rule.effect_value == effect for item in rule.obligations]
    return [_oblige(item, question, thresholds, tallies) for item in (*owed, *compiled.standing[effect])]


def _oblige(
    item: CompiledObligation, question: Question, thresholds: Mapping[str, int], tallies: Mapping[str, CountResult]
) -> pb.Obligation:
    found = pb.Obligation(kind=item.kind, rule_id=item.rule_id, address=item.address or "")
    if item.seconds:
        found.seconds = thresholds[item.seconds]
    if item.early:
        found.early_seconds = thresholds[item.early]
    if item.violations:
        used = tallies[item.violations]
        found.violation_ids.extend(used.ids)
        # From the second violation, which is not this one when checks came out of order.
        found.from_time.CopyFrom(to_timestamp(max(question.now, used.latest)))
    return found


def _used_up(stored: pb.Decision) -> Mapping[str, CountResult]:
    """For a replay: the violations that the stored suspension names, whatever the fact is called that counted them."""
    suspend = next((each for each in stored.obligations if each.kind == pb.Obligation.KIND_SUSPEND), pb.Obligation())
    latest = suspend.from_time.seconds * SECOND + suspend.from_time.nanos
    return defaultdict(lambda: CountResult(0, list(suspend.violation_ids), latest, (0, 0)))


def _is_told(remedy: CompiledRemedy, aims: Aims) -> bool:
    """What moves do not bring about is no remedy; what is done elsewhere always is one."""
    return bool(aims) or not remedy.moves


def _aim_key(rule_id: str, name: str) -> str:
    return f"remedy.{rule_id}.{name}"


_CHANGED_FIELDS = (
    ("start_time", "new_start_time"),
    ("end_time", "new_end_time"),
    ("participant_count", "new_participant_count"),
)


def _to_json(name: str, value: int) -> str:
    if UNITS[name] != "moment":
        return str(value)
    return json.dumps(datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z"))


def _add_quotas(
    decision: pb.Decision,
    compiled: CompiledAction,
    question: Question,
    thresholds: Mapping[str, int],
    tallies: Mapping[str, CountResult],
) -> None:
    for rule_id, fact, threshold, kind in compiled.quotas:
        tally, quota = tallies[fact], decision.quotas.add()
        fill_quota(quota, rule_id, thresholds[threshold], tally.period, kind, tally.rolling_seconds, question.now)
        if tally.value:
            quota.used = tally.value
            quota.rolling_seconds = tally.rolling_seconds
            quota.reservation_ids.extend(tally.ids)
