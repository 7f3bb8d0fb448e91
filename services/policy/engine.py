"""The one place that touches durable-rules: compiled conditions in, the ids of every rule that holds out, or an error.

The engine is fast and old: missing fields compare true, wrong types compare somehow, some inputs crash it. So it only
ever sees integers under names chosen here, one fact at a time, and must prove on each decision that it ran to the end.
"""

import contextlib
import itertools
import json
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from durable import engine as durable

from services.policy.conditions import branches, comparisons
from services.policy.document import MAX_FIRED, MAX_INTEGER, MAX_NAMES, MAX_RULES, AllOf, Compare, Condition

_OPERATORS = {"at_least": "$gte", "more_than": "$gt", "at_most": "$lte", "less_than": "$lt", "not_equal": "$neq"}
_ADDRESS = {"sid": "0", "id": "0"}  # constant: the engine keeps state for every sid it has seen
_ADDRESS_TEXT = json.dumps(_ADDRESS)
_SENTINEL = -1
_FIRED = 0  # the outcome of an assertion after which actions wait
MAX_WRITTEN = 1024
LEASE_SECONDS = 10.0  # the engine hands actions that took longer to somebody else, and says nothing
_native = durable.durable_rules_engine
_numbers = itertools.count()  # a name can never be compiled twice in one process


class EngineError(RuntimeError):
    """The engine did not prove that it looked at every rule; there is no decision."""


class UnsafeInputError(ValueError):
    """Something that the engine would misread or not survive."""


class Rulebook:
    """The rules of one kind of question. Safe to share between threads."""

    def __init__(self, kind: str, rules: Sequence[tuple[str, Condition]]) -> None:
        _check_size([condition for _, condition in rules])
        self._batches = [_Batch(kind, batch) for batch in _split(rules)]

    def fired(self, facts: Mapping[str, int], thresholds: Mapping[str, int]) -> list[str]:
        """The ids of every rule that holds, in the order given. Raises UnsafeInputError, EngineError."""
        return [rule_id for batch in self._batches for rule_id in batch.fired(facts, thresholds)]

    def close(self) -> None:
        """Frees the compiled rules; a later question compiles them anew."""
        for batch in self._batches:
            batch.close()


def _check_size(conditions: Sequence[Condition]) -> None:
    total = sum(map(branches, conditions))
    if total > MAX_RULES or max(map(branches, conditions), default=0) > MAX_FIRED:
        raise UnsafeInputError(f"more than {MAX_RULES} alternatives in all, or {MAX_FIRED} in one rule")
    literals = [compare.value for condition in conditions for _, compare in comparisons(condition)]
    for value in literals:
        if value is not None:
            _checked({"value": "value"}, {"value": value})


def _split(rules: Sequence[tuple[str, Condition]]) -> list[list[tuple[str, Condition]]]:
    """Into as few batches as can fire all at once; a policy of everyday size is one."""
    batches: list[list[tuple[str, Condition]]] = [[]]
    room = MAX_FIRED
    for rule in rules:
        size = branches(rule[1])
        if size > room:
            batches.append([])
            room = MAX_FIRED
        batches[-1].append(rule)
        room -= size
    return batches


class _Batch:
    """One compiled ruleset and its lock."""

    def __init__(self, kind: str, rules: Sequence[tuple[str, Condition]]) -> None:
        self._kind = kind
        self._rules = [*rules]
        compares = [compare for _, condition in rules for _, compare in comparisons(condition)]
        self._facts = _numbered("f", [compare.fact for compare in compares])
        self._thresholds = _numbered("t", [compare.threshold for compare in compares if compare.threshold])
        if max(len(self._facts), len(self._thresholds)) > MAX_NAMES:
            raise UnsafeInputError(f"more than {MAX_NAMES} facts or thresholds in one question")
        self._lock = threading.Lock()
        self._facts_text = ",".join(f'"{short}":%d' for short in self._facts.values()) + "}}"
        self._written: dict[tuple[int, ...], str] = {}
        self._ruleset: Any = None
        self._retire: Callable[[], object] = lambda: None

    def fired(self, facts: Mapping[str, int], thresholds: Mapping[str, int]) -> list[str]:
        limits = _checked(self._thresholds, thresholds)
        head = self._written.get(limits) or self._write_head(limits)
        message = head + self._facts_text % _checked(self._facts, facts)
        with self._lock:
            indexes = self._run(message)
        return [self._rules[index][0] for index in sorted(indexes)]

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _write_head(self, limits: tuple[int, ...]) -> str:
        """All of the message but the facts, as JSON: few sets of thresholds are in use, so each is written once."""
        if len(self._written) >= MAX_WRITTEN:
            self._written.clear()
        named = dict(zip(self._thresholds.values(), limits, strict=True))
        head = json.dumps({"kind": self._kind, **_ADDRESS, "t": named})[:-1] + ',"f":{'
        self._written[limits] = head
        return head

    def _run(self, message: str) -> set[int]:
        """Once anything went wrong the compiled rules are thrown away: what they hold is no longer known."""
        try:
            indexes = self._assert_and_retract(message)
        except Exception as error:
            self._drop()
            raise EngineError(f"durable-rules failed: {error}") from error
        if _SENTINEL not in indexes:
            self._drop()
            raise EngineError("durable-rules did not fire the rule that always holds")
        return indexes - {_SENTINEL}

    def _assert_and_retract(self, message: str) -> set[int]:
        """The names of the actions that the engine hands out are all that is wanted: none is run.

        These are the calls that durable.engine.Ruleset makes, without its closures and its copies of the state.
        """
        handle = (self._ruleset or self._compile())._handle
        begun = monotonic()
        outcome, state = _native.assert_fact(handle, message)
        try:
            if outcome != _FIRED:
                raise EngineError(f"a fact that every question makes was answered with {outcome}")
            fired = set()
            started = _native.start_action_for_state(handle, state)
            action = started[1] if started else None
            while action:  # {"r3":{"m":{...}}}; one `any` with two true parts comes twice
                fired.add(_index(action))
                action = _native.complete_and_start_action(handle, state)
            if monotonic() - begun > LEASE_SECONDS:
                raise EngineError("the actions did not run to their end in time")
            return fired
        finally:
            _native.retract_fact(handle, _ADDRESS_TEXT)

    def _compile(self) -> Any:
        self._ruleset = durable.Ruleset(f"policy{next(_numbers)}", None, self.definition(lambda _: lambda _: None))
        handle = self._ruleset._handle
        self._retire = weakref.finalize(self, _delete, handle)
        return self._ruleset

    def definition(self, action: Callable[[int], Callable[[object], None]]) -> dict[str, Any]:
        """The rules as durable-rules wants them; `action` makes what is to be run for the rule of that index."""
        guard = {"kind": self._kind}
        rules = {_name(_SENTINEL): {"all": [{"m": {"$and": [guard]}}], "run": action(_SENTINEL)}}
        for index, (_, condition) in enumerate(self._rules):
            body = {"$and": [guard, self._expression(condition)]}
            rules[_name(index)] = {"all": [{"m": body}], "run": action(index)}
        return rules

    def _drop(self) -> None:
        self._retire()
        self._ruleset = None
        self._retire = lambda: None

    def _expression(self, condition: Condition) -> dict[str, Any]:
        if isinstance(condition, Compare):
            return self._comparison(condition)
        if isinstance(condition, AllOf):
            return {"$and": [self._expression(item) for item in condition.all]}
        return {"$or": [self._expression(item) for item in condition.any]}

    def _comparison(self, compare: Compare) -> dict[str, Any]:
        left = f"f.{self._facts[compare.fact]}"
        right = {"$m": f"t.{self._thresholds[compare.threshold]}"} if compare.threshold else compare.value
        return {left: right} if compare.op == "equal" else {_OPERATORS[compare.op]: {left: right}}


def _delete(handle: object) -> None:
    """The state first: deleting only the ruleset leaks it."""
    with contextlib.suppress(_native.error):  # no state before the first question
        _native.delete_state(handle, _ADDRESS["sid"])
    _native.delete_ruleset(handle)


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """The engine knows fields by a 32-bit hash of their names: it gets ours, which are known not to collide."""
    return {name: f"{prefix}{index}" for index, name in enumerate(dict.fromkeys(names))}


def _checked(names: Mapping[str, str], values: Mapping[str, int]) -> tuple[int, ...]:
    """A missing right side would compare true, a bool or text somehow, a large integer inexactly."""
    found = tuple(map(values.get, names))
    for value in found:
        if type(value) is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
            name = list(names)[found.index(value)]
            raise UnsafeInputError(f"{name!r} must be an integer within ±2^62, not {value!r}")
    return found  # type: ignore[return-value] # it was looked at value by value


def _name(index: int) -> str:
    return f"r{index}"


def _index(action: str) -> int:
    """From the engine's JSON, which names the rule first."""
    return int(action[3 : action.index('"', 3)])
