"""The one place that touches durable-rules: compiled conditions in, the ids of every rule that holds out, or an error.

The engine is fast and old: missing fields compare true, wrong types compare somehow, some inputs crash it. So it only
ever sees integers under names chosen here, one fact at a time, and must prove on each decision that it ran to the end.
"""

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from durable import engine as durable

from services.policy.conditions import branches, comparisons
from services.policy.document import MAX_FIRED, MAX_INTEGER, MAX_NAMES, MAX_RULES, AllOf, Compare, Condition

_OPERATORS = {"at_least": "$gte", "more_than": "$gt", "at_most": "$lte", "less_than": "$lt", "not_equal": "$neq"}
_ADDRESS = {"sid": "0", "id": "0"}  # constant: the engine keeps state for every sid it has seen
_SENTINEL = -1
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
        self._fired: list[int] = []
        self._ruleset: Any = None
        self._retire: Callable[[], object] = lambda: None

    def fired(self, facts: Mapping[str, int], thresholds: Mapping[str, int]) -> list[str]:
        message = {
            "kind": self._kind,
            **_ADDRESS,
            "f": _checked(self._facts, facts),
            "t": _checked(self._thresholds, thresholds),
        }
        with self._lock:
            indexes = self._run(message)
        return [self._rules[index][0] for index in sorted(indexes)]

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _run(self, message: dict[str, Any]) -> set[int]:
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

    def _assert_and_retract(self, message: dict[str, Any]) -> set[int]:
        ruleset = self._ruleset or self._compile()
        self._fired.clear()
        ended: list[object] = []
        state = ruleset.assert_fact(message)
        try:
            ruleset.do_actions(state, lambda error, _: ended.append(error))
        finally:
            ruleset.retract_fact(dict(_ADDRESS))
        if ended != [None]:
            raise EngineError(f"the actions did not run to their end: {ended}")
        return set(self._fired)  # one `any` with two true parts fires twice

    def _compile(self) -> Any:
        guard = {"kind": self._kind}
        rules = {"s": {"all": [{"m": {"$and": [guard]}}], "run": self._note(_SENTINEL)}}
        for index, (_, condition) in enumerate(self._rules):
            body = {"$and": [guard, self._expression(condition)]}
            rules[f"r{index}"] = {"all": [{"m": body}], "run": self._note(index)}
        self._ruleset = durable.Ruleset(f"policy{next(_numbers)}", None, rules)
        handle = self._ruleset._handle
        self._retire = weakref.finalize(self, _delete, handle)
        return self._ruleset

    def _drop(self) -> None:
        self._retire()
        self._ruleset = None
        self._retire = lambda: None

    def _note(self, index: int) -> Callable[[object], None]:
        """An action has exactly one parameter (with two it would be taken for asynchronous) and cannot fail."""
        fired = self._fired

        def run(_: object) -> None:
            fired.append(index)

        return run

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
    native = durable.durable_rules_engine
    with contextlib.suppress(native.error):  # no state before the first question
        native.delete_state(handle, _ADDRESS["sid"])
    native.delete_ruleset(handle)


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """The engine knows fields by a 32-bit hash of their names: it gets ours, which are known not to collide."""
    return {name: f"{prefix}{index}" for index, name in enumerate(dict.fromkeys(names))}


def _checked(names: Mapping[str, str], values: Mapping[str, int]) -> dict[str, int]:
    """A missing right side would compare true, a bool or text somehow, a large integer inexactly."""
    found = {}
    for name, short in names.items():
        value = values.get(name)
        if type(value) is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise UnsafeInputError(f"{name!r} must be an integer within ±2^62, not {value!r}")
        found[short] = value
    return found
