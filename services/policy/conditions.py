"""Walks over the conditions of a rule: what they compare, and how many ways there are for them to hold."""

import operator
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

from services.policy.document import AllOf, AnyOf, Compare, Condition

Step = str | int
Predicate = Callable[[Mapping[str, int], Mapping[str, int]], bool]


def comparisons(condition: Condition, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Compare]]:
    """Every comparison, with its place inside the condition, in the order of the text."""
    if isinstance(condition, Compare):
        yield path, condition
        return
    name, inner = ("all", condition.all) if isinstance(condition, AllOf) else ("any", condition.any)
    for index, item in enumerate(inner):
        yield from comparisons(item, (*path, name, index))


def predicate(condition: Condition) -> Predicate:
    """What the engine would say about this one condition: for what-if questions, never for the decision itself."""
    if isinstance(condition, Compare):
        return _comparison(condition)
    inner = [predicate(item) for item in (condition.all if isinstance(condition, AllOf) else condition.any)]
    stops_at = isinstance(condition, AnyOf)  # `all` ends with the first that does not hold, `any` with one that does

    def holds(facts: Mapping[str, int], thresholds: Mapping[str, int]) -> bool:
        for part in inner:
            if part(facts, thresholds) == stops_at:
                return stops_at
        return not stops_at

    return holds


def _comparison(compare: Compare) -> Predicate:
    fact, threshold, value, compares = compare.fact, compare.threshold, compare.value, _OPERATORS[compare.op]
    if threshold:
        return lambda facts, thresholds: compares(facts[fact], thresholds[threshold])
    return lambda facts, thresholds: compares(facts[fact], value)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "at_least": operator.ge,
    "more_than": operator.gt,
    "at_most": operator.le,
    "less_than": operator.lt,
    "equal": operator.eq,
    "not_equal": operator.ne,
}


def branches(condition: Condition) -> int:
    """How many alternatives the engine unfolds this into; it must stay small, an `any` inside an `all` multiplies."""
    if isinstance(condition, AllOf):
        return prod(branches(item) for item in condition.all)
    if isinstance(condition, AnyOf):
        return sum(branches(item) for item in condition.any)
    return 1
