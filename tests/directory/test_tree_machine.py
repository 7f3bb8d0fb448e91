"""Whatever is done to the tree in whatever order: it does what a model of it does, and all of its laws hold."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.directory import api
from services.directory.changes import Changes
from services.platform.serving import errors
from tests.directory.conftest import ADMIN
from tests.directory.tree import Tree

T = TypeVar("T")
SIZES = [6, pytest.param(40, marks=pytest.mark.long)]
names = st.sampled_from(("甲", "乙", "丙", "a%", "a_"))
which = st.integers(0, 30)
"""One of those that there are, counted around; 0 is the top where that can be meant."""
people = st.integers(0, 7).map("m{}".format)
ways = st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3, unique=True)


@dataclass
class Node:
    """What the model knows of a department."""

    name: str
    parent: str
    version: int = 1
    children: list[str] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.tree = tree
        tree.clear()
        self.nodes: dict[str, Node] = {"": Node("", "")}
        self.members: dict[str, dict[str, bool]] = {}
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def teardown(self) -> None:
        self.runner.close()

    def pick(self, number: int) -> str:
        return [*self.nodes][number % len(self.nodes)]

    def taken(self, parent: str, name: str, but: str = "") -> bool:
        return any(self.nodes[each].name == name for each in self.nodes[parent].children if each != but)

    def lies_below(self, upper: str, lower: str) -> bool:
        while lower:
            if lower == upper:
                return True
            lower = self.nodes[lower].parent
        return False

    def leave(self, id_: str) -> None:
        self.nodes[self.nodes[id_].parent].children.remove(id_)

    @rule(name=names, parent=which)
    def create(self, name: str, parent: int) -> None:
        above = self.pick(parent)
        made = self.do(self.tree.create(name, above), "DEPARTMENT_EXISTS" if self.taken(above, name) else "")
        if made:
            self.note(made.department_id, name, above)

    def note(self, id_: str, name: str, above: str) -> None:
        self.nodes[id_] = Node(name, above)
        self.nodes[above].children.append(id_)

    @rule(number=which, name=names)
    def rename(self, number: int, name: str) -> None:
        id_ = self.pick(number)
        node = self.nodes[id_]
        if not id_:
            return
        refused = "DEPARTMENT_EXISTS" if self.taken(node.parent, name, id_) else ""
        if self.do(self.tree.rename(id_, name, node.version), refused):
            node.version += node.name != name
            node.name = name

    @rule(number=which, parent=which, before=which, last=st.booleans())
    def move(self, number: int, parent: int, before: int, last: bool) -> None:
        id_, above = self.pick(number), self.pick(parent)
        node = self.nodes[id_]
        if not id_:
            return
        siblings = [each for each in self.nodes[above].children if each != id_]
        sibling = "" if last or not siblings else siblings[before % len(siblings)]
        refused = ""
        if above != node.parent:
            taken = self.taken(above, node.name)
            refused = "CYCLE" if self.lies_below(id_, above) else "DEPARTMENT_EXISTS" if taken else ""
        if self.do(self.tree.move(id_, above, sibling, node.version), refused):
            siblings.insert(siblings.index(sibling) if sibling else len(siblings), id_)
            node.version += above != node.parent or siblings != self.nodes[above].children
            self.leave(id_)
            self.nodes[above].children, node.parent = siblings, above

    @rule(number=which, other=which)
    def merge(self, number: int, other: int) -> None:
        id_, into = self.pick(number), self.pick(other)
        node = self.nodes[id_]
        if not id_ or not into or id_ == into:
            return
        taken = any(self.taken(into, self.nodes[each].name, id_) for each in node.children)
        refused = "CYCLE" if self.lies_below(id_, into) else "DEPARTMENT_EXISTS" if taken else ""
        if self.do(self.tree.merge(id_, into, node.version), refused):
            self.leave(id_)
            for each in node.children:
                self.nodes[each].parent = into
                self.nodes[each].version += 1
            self.nodes[into].children += node.children
            del self.nodes[id_]
            for belongs in self.members.values():
                if id_ in belongs:
                    main = belongs.pop(id_)
                    belongs[into] = belongs.get(into, False) or main

    @rule(number=which)
    def delete(self, number: int) -> None:
        id_ = self.pick(number)
        if not id_:
            return
        full = self.nodes[id_].children or any(id_ in belongs for belongs in self.members.values())
        self.do(self.tree.delete(id_, self.nodes[id_].version), "DEPARTMENT_NOT_EMPTY" if full else "")
        if not full:
            self.leave(id_)
            del self.nodes[id_]

    @rule(account_id=people, numbers=st.lists(which, max_size=3))
    def place(self, account_id: str, numbers: list[int]) -> None:
        department_ids = [*dict.fromkeys(filter(None, map(self.pick, numbers)))]
        self.runner.run(self.tree.place(account_id, *department_ids))
        self.members[account_id] = {each: number == 0 for number, each in enumerate(department_ids)}

    @rule(account_id=people)
    def remove(self, account_id: str) -> None:
        if self.members.pop(account_id, None) is not None:
            self.runner.run(self.tree.remove(account_id))

    @rule(table=st.dictionaries(people, ways, min_size=1, max_size=3))
    def take_in(self, table: dict[str, list[tuple[str, ...]]]) -> None:
        self.runner.run(self.tree.take_in(table))
        ids = {each.path: each.department_id for each in self.runner.run(self.tree.all())} | {"": ""}
        for account_id, belongs in table.items():
            for way in belongs:
                for level in range(len(way)):
                    id_, above = ids["/".join(way[: level + 1])], ids["/".join(way[:level])]
                    if id_ not in self.nodes:
                        self.note(id_, way[level], above)
            self.members[account_id] = {ids["/".join(way)]: number == 0 for number, way in enumerate(belongs)}

    @invariant()
    def agrees_with_the_model(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        await self.tree.check()
        told = {each.department_id: each for each in await self.tree.all()}
        assert told.keys() == self.nodes.keys() - {""}
        for id_, each in told.items():
            node = self.nodes[id_]
            place = self.nodes[node.parent].children.index(id_)
            found = (each.display_name, each.parent_id, each.version, each.position)
            assert found == (node.name, node.parent, node.version, place)
        for account_id, belongs in self.members.items():
            assert self.tree.memberships(account_id) == belongs

    def do(self, call: Coroutine[Any, Any, T], refused: str) -> T | None:
        """The answer; None when it was refused, as it must be when `refused` says why."""
        try:
            answer = self.runner.run(call)
        except errors.RpcError as error:
            if error.reason.rpartition(" ")[2] != refused:
                raise
            return None
        assert not refused
        return answer


@pytest.mark.parametrize("examples", SIZES)
def test_it_does_what_the_model_does(changes: Changes, examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "caller", lambda: ADMIN)
    if changes.database.engine.dialect.name == "sqlite":  # here no machine stops, only programs
        sa.event.listen(
            changes.database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF").close()
        )
    tree = Tree(changes)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Machine(tree), settings=chosen)  # type: ignore[arg-type] # a factory will do
