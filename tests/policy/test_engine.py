"""Everything that durable-rules gets wrong, tried on the wrapper: a clear error or the right answer, never a crash."""

import itertools
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from services.policy import engine
from services.policy.document import AllOf, AnyOf, Compare, Condition
from services.policy.engine import EngineError, Rulebook, UnsafeInputError

BIG = 2**62


def compare(fact: str = "people", op: Any = "at_least", threshold: str | None = "limit", **more: Any) -> Compare:
    return Compare(fact=fact, op=op, threshold=threshold, **more)


def all_of(*conditions: Condition) -> AllOf:
    return AllOf.model_construct(all=[*conditions])


def any_of(*conditions: Condition) -> AnyOf:
    return AnyOf.model_construct(any=[*conditions])


def book(*conditions: Condition) -> Rulebook:
    return Rulebook("CREATE", [(f"R{index}", condition) for index, condition in enumerate(conditions)])


@pytest.mark.parametrize(("facts", "thresholds"), [({}, {"limit": 5}), ({"people": 5}, {})])
def test_a_missing_number_is_refused(facts: dict[str, int], thresholds: dict[str, int]) -> None:
    """Inside the engine a missing right side compares true."""
    with pytest.raises(UnsafeInputError, match="must be an integer"):
        book(compare()).fired(facts, thresholds)


NOT_INTEGERS = ["5", "x" * 70_000, True, 5.0, 1e16, 1e-5, float("nan"), None, [], {}, b"5", BIG + 1, -BIG - 1, 10**400]


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=lambda value: repr(value)[:12])
def test_only_exact_integers_reach_the_engine(value: Any) -> None:
    rules = book(compare())
    for facts, thresholds in (({"people": value}, {"limit": 5}), ({"people": 5}, {"limit": value})):
        with pytest.raises(UnsafeInputError):
            rules.fired(facts, thresholds)
    assert rules.fired({"people": 5}, {"limit": 5}) == ["R0"]


@pytest.mark.parametrize(("op", "holds"), [
    ("at_least", int.__ge__), ("more_than", int.__gt__), ("at_most", int.__le__),
    ("less_than", int.__lt__), ("equal", int.__eq__), ("not_equal", int.__ne__),
])  # fmt: skip
def test_every_operator_is_exact_up_to_the_limits(op: str, holds: Any) -> None:
    numbers = (0, 1, -1, 2**31, -(2**31), 2**53, 2**53 + 1, BIG, BIG - 1, -BIG)
    rules = book(compare(op=op))
    for left, right in itertools.product(numbers, numbers):
        expected = ["R0"] if holds(left, right) else []
        assert rules.fired({"people": left}, {"limit": right}) == expected
        assert book(compare(op=op, threshold=None, value=right)).fired({"people": left}, {}) == expected


def test_nested_conditions_hold_as_written_and_fire_once() -> None:
    """One `any` with several true parts fires the engine's rule several times."""
    a, b, c = (compare(name, "equal", None, value=1) for name in "abc")
    rules = book(any_of(all_of(a, b), all_of(c, any_of(a, b))), any_of(a, b, c), a)
    for x, y, z in itertools.product((0, 1), repeat=3):
        expected = [bool((x and y) or (z and (x or y))), bool(x or y or z), bool(x)]
        found = rules.fired({"a": x, "b": y, "c": z}, {})
        assert found == [f"R{index}" for index, holds in enumerate(expected) if holds]


def test_names_never_reach_the_engine() -> None:
    """It knows fields by a 32-bit hash, and gives `id`, `sid` and `kind` a meaning of its own."""
    names = ["id", "sid", "kind", "$s", "f", "costarring", "liquid", "declinate", "macallums", "a.b", "\0", "名"]
    rules = book(*(compare().model_copy(update={"fact": name}) for name in names))
    for chosen in names:
        facts = {name: int(name == chosen) for name in names}
        assert rules.fired(facts, {"limit": 1}) == [f"R{names.index(chosen)}"]


def test_the_engines_own_names_do_not_collide() -> None:
    def fnv1a(text: str) -> int:
        value = 2166136261
        for byte in text.encode():
            value = (value ^ byte) * 16777619 % 2**32
        return value

    names = [f"{prefix}{dot}{number}" for prefix in "ft" for dot in ("", f".{prefix}") for number in range(200)]
    assert len({fnv1a(name) for name in [*names, "id", "sid", "kind", "$s", "m", "f", "t"]}) == len(names) + 7


def test_two_hundred_rules_may_fire_at_once() -> None:
    """One ruleset of the engine fires 64 at most; more is its error 303."""
    rules = book(*(compare(f"f{n % 60}", threshold=f"t{n % 59}") for n in range(200)))
    facts, thresholds = {f"f{n}": 9 for n in range(60)}, {f"t{n}": 5 for n in range(59)}
    assert len(rules.fired(facts, thresholds)) == 200


@pytest.mark.parametrize(
    "conditions",
    [
        [compare(threshold=None, value=n) for n in range(201)],
        [any_of(*(compare(threshold=None, value=n) for n in range(201)))],
        [all_of(*(any_of(compare(), compare()) for _ in range(8)))],
        [any_of(*(compare(threshold=None, value=n) for n in range(61)))],
        [all_of(*(compare(f"f{n}") for n in range(61)))],
        [all_of(*(compare(threshold=f"t{n}") for n in range(61)))],
    ],
    ids=["rules", "alternatives", "alternatives multiplied", "alternatives in one rule", "facts", "thresholds"],
)
def test_more_than_the_engine_survives_is_refused(conditions: list[Condition]) -> None:
    """About 512 distinct alternatives never return from compiling, about 64 fields a side are an error."""
    with pytest.raises(UnsafeInputError):
        book(*conditions)


def test_a_literal_out_of_range_is_refused() -> None:
    with pytest.raises(UnsafeInputError):
        book(Compare.model_construct(fact="people", op="equal", threshold=None, value=BIG + 1))


def test_many_rulebooks_live_side_by_side() -> None:
    """The engine knows one ruleset a name, for the life of the process."""
    books = [book(compare(threshold=None, value=n)) for n in range(50)]
    assert [len(rules.fired({"people": 24}, {})) for rules in books] == [1] * 25 + [0] * 25
    for rules in books:
        rules.close()
        rules.close()
    assert books[0].fired({"people": 24}, {}) == ["R0"]


def test_threads_share_a_rulebook() -> None:
    rules, wrong = book(compare()), []

    def ask(people: int) -> None:
        for _ in range(300):
            found = rules.fired({"people": people}, {"limit": 4})
            if found != (["R0"] if people >= 4 else []):
                wrong.append((people, found))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class Broken:
    """The engine's own calls, one of which goes wrong."""

    def __init__(self, native: Any, how: str) -> None:
        self.native, self.how = native, how

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def assert_fact(self, handle: object, message: str) -> tuple[int, int]:
        if self.how == "raises":
            raise RuntimeError("error code: 302")
        outcome: tuple[int, int] = self.native.assert_fact(handle, message)
        return (1, outcome[1]) if self.how == "matches nothing" else outcome

    def start_action_for_state(self, handle: object, state: int) -> Any:
        return None if self.how == "hands out nothing" else self.native.start_action_for_state(handle, state)

    def complete_and_start_action(self, handle: object, state: int) -> Any:
        if self.how == "hangs up":
            raise RuntimeError("lost")
        return self.native.complete_and_start_action(handle, state)

    def retract_fact(self, handle: object, address: str) -> None:
        if self.how == "keeps":
            raise RuntimeError("not retracted")
        self.native.retract_fact(handle, address)


@pytest.mark.parametrize("how", ["raises", "matches nothing", "hands out nothing", "hangs up", "keeps"])
def test_an_engine_that_does_not_finish_gives_no_decision(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails closed, and compiles anew for the next question."""
    rules = book(compare())
    rules.fired({"people": 9}, {"limit": 5})
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_native", Broken(engine._native, how))
        with pytest.raises(EngineError):
            rules.fired({"people": 9}, {"limit": 5})
    assert rules.fired({"people": 9}, {"limit": 5}) == ["R0"]
    assert rules.fired({"people": 1}, {"limit": 5}) == []


def test_rules_that_fired_count_only_within_the_engines_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a stop of a minute: what the engine thinks overdue it drops without an error."""
    rules = book(compare())
    moments = iter((0.0, 60.0))
    monkeypatch.setattr(engine, "monotonic", lambda: next(moments))
    with pytest.raises(EngineError, match="did not run to their end"):
        rules.fired({"people": 9}, {"limit": 5})


def test_rules_come_in_the_order_of_the_policy() -> None:
    rules = book(*(compare(threshold=None, op="equal", value=int(n in (3, 40))) for n in range(50)))
    assert rules.fired({"people": 1}, {}) == ["R3", "R40"]


def test_nothing_stays_in_the_engine() -> None:
    rules = book(compare())
    for people in range(100):
        rules.fired({"people": people}, {"limit": 5})
    assert rules._batches[0]._ruleset.get_facts("0") == []


def test_retired_rules_leave_no_memory_behind() -> None:
    """Deleting a ruleset without its state would leak some 80 KiB each time."""

    def cycles(number: int) -> int:
        for _ in range(number):
            rules = book(compare())
            rules.fired({"people": 9}, {"limit": 5})
            rules.close()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = cycles(50)
    assert cycles(200) - before < 8_000_000


def test_a_fact_left_behind_is_noticed() -> None:
    """The same fact twice would be an error of the engine: no decision, and a fresh start."""
    rules = book(compare())
    rules.fired({"people": 9}, {"limit": 5})
    rules._batches[0]._ruleset.assert_fact({"kind": "CREATE", "sid": "0", "id": "0", "f": {"f0": 1}, "t": {"t0": 5}})
    with pytest.raises(EngineError, match="durable-rules failed"):
        rules.fired({"people": 9}, {"limit": 5})
    assert rules.fired({"people": 9}, {"limit": 5}) == ["R0"]
