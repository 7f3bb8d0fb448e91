"""Walks over the conditions of a rule: what they compare, and how many ways there are for them to hold."""

from collections.abc import Iterator
from math import prod

from services.policy.document import AllOf, AnyOf, Compare, Condition

Step = str | int


def comparisons(condition: Condition, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Compare]]:
    """Every comparison, with its place inside the condition, in the order of the text."""
    if isinstance(condition, Compare):
        yield path, condition
        return
    name, inner = ("all", condition.all) if isinstance(condition, AllOf) else ("any", condition.any)
    for index, item in enumerate(inner):
        yield from comparisons(item, (*path, name, index))


def branches(condition: Condition) -> int:
    """How many alternatives the engine unfolds this into; it must stay small, an `any` inside an `all` multiplies."""
    if isinstance(condition, AllOf):
        return prod(branches(item) for item in condition.all)
    if isinstance(condition, AnyOf):
        return sum(branches(item) for item in condition.any)
    return 1
