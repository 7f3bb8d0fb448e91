"""Departments: what is made, found, moved, merged and refused, through the service, on both databases."""

import asyncio
import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.json_format import Parse
from yunhui.directory.v1 import events_pb2

from services.directory import api, department_changes, departments
from services.directory.changes import Changes
from services.directory.fields import MOST_LEVELS
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.directory.conftest import ADMIN, MONDAY, ManualClock
from tests.directory.tree import Tree, refused

EXISTS = "ALREADY_EXISTS DEPARTMENT_EXISTS"
NOT_FOUND = "NOT_FOUND DEPARTMENT_NOT_FOUND"
STALE, CYCLE, TOO_DEEP, NOT_EMPTY = (
    f"FAILED_PRECONDITION {reason}" for reason in ("STALE_VERSION", "CYCLE", "TOO_DEEP", "DEPARTMENT_NOT_EMPTY")
)


@pytest.fixture(autouse=True)
def called_by_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "caller", lambda: ADMIN)


@pytest.fixture
def tree(changes: Changes) -> Tree:
    return Tree(changes)


async def test_a_department_is_made_as_the_last_of_its_parent(tree: Tree) -> None:
    top = await tree.create("计算机学院")
    await tree.create("软件所", top.department_id)
    last = await tree.create("网络中心", top.department_id)
    assert (last.position, last.path, last.version) == (1, "计算机学院/网络中心", 1)
    assert last.create_time.ToMilliseconds() == last.update_time.ToMilliseconds() == MONDAY
    assert await tree.get(last.department_id) == last
    assert (await tree.get(top.department_id)).child_count == 2
    await tree.check()


async def test_children_are_listed_by_place_page_by_page(tree: Tree) -> None:
    for name in "EDCBA":
        await tree.create(name)
    first = await tree.children(page_size=2)
    second = await tree.children(page_size=2, page_token=first.next_page_token)
    third = await tree.children(page_size=2, page_token=second.next_page_token)
    assert [each.display_name for page in (first, second, third) for each in page.departments] == [*"EDCBA"]
    assert [page.total_count for page in (first, second, third)] == [5, 5, 5]
    assert third.next_page_token == ""


async def test_of_two_departments_each_member_counts_once(tree: Tree) -> None:
    top = await tree.create("A")
    left, right = await tree.create("L", top.department_id), await tree.create("R", top.department_id)
    other = await tree.create("B")
    ids = [each.department_id for each in (left, right, top, other)]
    tree.put_member("both", ids[0], ids[1])
    tree.put_member("three", ids[3], ids[0], ids[1])  # whose main department lies elsewhere
    tree.put_member("above", ids[2], ids[0])
    tree.put_member("none")
    page = await tree.children()
    assert [(each.member_count, each.member_count_below) for each in page.departments] == [(1, 3), (1, 1)]
    below = (await tree.children(top.department_id)).departments
    assert [(each.member_count, each.member_count_below) for each in below] == [(3, 3), (2, 2)]


async def test_a_page_takes_as_many_statements_as_a_single_row(tree: Tree) -> None:
    async def count(size: int) -> int:
        told: list[str] = []
        sa.event.listen(tree.database.engine, "before_cursor_execute", note := lambda *given: told.append(given[2]))
        page = await tree.children(page_size=size)
        sa.event.remove(tree.database.engine, "before_cursor_execute", note)
        assert len(page.departments) == size
        return len(told)

    for number in range(9):
        made = await tree.create(f"{number}")
        await tree.create("below", made.department_id)
    assert await count(1) == await count(9) > 0


@pytest.mark.parametrize("query", ["计算机", "jisuanji", "JSJ", "xueyuan 计算", "jsjxy"])
async def test_names_are_found_by_characters_pinyin_and_initials(tree: Tree, query: str) -> None:
    made = await tree.create("计算机学院")
    await tree.create("数学学院")
    found = await tree.search(query)
    assert [each.department_id for each in found.departments] == [made.department_id]
    assert found.total_count == 1


async def test_what_is_found_comes_by_path_and_is_counted_whole(tree: Tree) -> None:
    b, a = await tree.create("B"), await tree.create("A")
    for parent in (b, a):
        await tree.create("办公室", parent.department_id)
    await tree.create("A 办公室")
    found = await tree.search("办公室", page_size=2)
    assert [each.path for each in found.departments] == ["A/办公室", "A 办公室"]
    assert found.total_count == 3


@pytest.mark.parametrize("query", ["%", "_", "\\", "a%c", "a_c"])
async def test_marks_of_patterns_are_looked_for_as_they_stand(tree: Tree, query: str) -> None:
    await tree.create("abc")
    assert (await tree.search(query)).total_count == 0
    made = await tree.create(f"x{query}x")
    assert [each.department_id for each in (await tree.search(query)).departments] == [made.department_id]


async def test_a_query_may_come_in_another_form_of_unicode(tree: Tree) -> None:
    await tree.create("École")
    assert (await tree.search(unicodedata.normalize("NFD", "école"))).total_count == 1


async def test_names_are_the_same_after_trimming_and_in_one_form(tree: Tree) -> None:
    made = await tree.create("  École ")
    assert made.display_name == "École"
    assert await refused(tree.create(unicodedata.normalize("NFD", "École"))) == EXISTS
    assert (await tree.create("École", made.department_id)).path == "École/École"


async def test_a_new_name_shows_in_the_paths_below_and_is_found(tree: Tree, clock: ManualClock) -> None:
    top = await tree.create("物理系")
    below = await tree.create("实验室", top.department_id)
    clock.time += 1
    after = await tree.rename(top.department_id, "化学系")
    assert (after.version, after.update_time.ToMilliseconds()) == (2, MONDAY + 1)
    assert (await tree.get(below.department_id)).path == "化学系/实验室"
    assert [(await tree.search(query)).total_count for query in ("huaxue", "wuli")] == [1, 0]
    await tree.check()


async def test_the_same_again_changes_nothing(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    assert await tree.rename(a.department_id, " A ", version=7) == a
    assert await tree.move(b.department_id) == b
    assert await tree.move(a.department_id, before=b.department_id) == a
    assert len(tree.rows(outbox.TABLE)) == len(tree.rows(audit.TABLE)) == 2


@pytest.mark.parametrize(
    ("moved", "before", "after"),
    [("A", "", "BCDA"), ("D", "A", "DABC"), ("A", "D", "BCAD"), ("C", "B", "ACBD"), ("B", "D", "ACBD")],
)
async def test_siblings_change_places(tree: Tree, moved: str, before: str, after: str) -> None:
    ids = {name: (await tree.create(name)).department_id for name in "ABCD"} | {"": ""}
    answer = await tree.move(ids[moved], before=ids[before])
    assert "".join(await tree.names()) == after
    assert (answer.position, answer.version) == (after.index(moved), 2)
    assert tree.events(ids[moved]) == [("department.created", 1), ("department.moved", 2)]
    await tree.check()


async def test_a_subtree_moves_in_front_of_a_sibling(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    first, second = await tree.create("1", b.department_id), await tree.create("2", b.department_id)
    below = await tree.create("x", a.department_id)
    after = await tree.move(a.department_id, b.department_id, before=second.department_id)
    assert (after.path, after.position, after.parent_id) == ("B/A", 1, b.department_id)
    assert await tree.names(b.department_id) == ["1", "A", "2"]
    assert (await tree.get(below.department_id)).path == "B/A/x"
    assert (await tree.get(first.department_id)).version == 1
    assert (await tree.get(b.department_id)).position == 0
    await tree.check()


async def test_a_move_is_refused_when_it_cannot_be(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    below, same = await tree.create("x", a.department_id), await tree.create("x")
    assert await refused(tree.move(a.department_id, a.department_id)) == CYCLE
    assert await refused(tree.move(a.department_id, below.department_id)) == CYCLE
    assert await refused(tree.move(same.department_id, a.department_id)) == EXISTS
    assert await refused(tree.move(b.department_id, a.department_id, version=2)) == STALE
    for wrong in (b, a):
        place = tree.move(b.department_id, a.department_id, before=wrong.department_id)
        assert await refused(place) == "before_department_id"
    assert await refused(tree.move(a.department_id, before=a.department_id)) == "before_department_id"
    assert await refused(tree.move(a.department_id, before="unknown")) == "before_department_id"
    assert await tree.names() == ["A", "B", "x"]
    await tree.check()


async def chain(tree: Tree, length: int, name: str = "d") -> list[str]:
    ids = [""]
    for _ in range(length):
        ids.append((await tree.create(name, ids[-1])).department_id)
    return ids[1:]


async def test_there_are_at_most_64_levels(tree: Tree) -> None:
    deep, short = await chain(tree, MOST_LEVELS), await chain(tree, 2, "s")
    assert await refused(tree.create("x", deep[-1])) == TOO_DEEP
    assert await refused(tree.move(short[0], deep[-2])) == TOO_DEEP
    assert await refused(tree.merge(short[0], deep[-1])) == TOO_DEEP
    assert (await tree.get(deep[-1])).path == "/".join("d" * MOST_LEVELS)
    assert (await tree.merge(short[0], deep[-2])).child_count == 2
    await tree.check()
    await tree.rename(deep[1], "e")
    await tree.move(deep[1], before=deep[0], version=2)
    await tree.check()


async def test_merging_gives_members_and_departments_to_the_other(tree: Tree, clock: ManualClock) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    ids = {name: (await tree.create(name, a.department_id)).department_id for name in ("1", "2")}
    below = await tree.create("x", ids["1"])
    await tree.create("0", b.department_id)
    tree.put_member("only", a.department_id)
    tree.put_member("main", a.department_id, b.department_id)
    tree.put_member("other", b.department_id, a.department_id)
    tree.put_member("third", ids["1"], a.department_id)
    tree.put_member("untouched", b.department_id)
    clock.time += 1
    after = await tree.merge(a.department_id, b.department_id)
    assert (after.department_id, after.version, after.position, after.child_count) == (b.department_id, 1, 0, 3)
    assert (after.member_count, after.member_count_below) == (5, 5)
    assert await tree.names(b.department_id) == ["0", "1", "2"]
    assert (await tree.get(below.department_id)).path == "B/1/x"
    assert await refused(tree.get(a.department_id)) == NOT_FOUND
    for account_id in ("only", "main", "other"):
        assert tree.memberships(account_id) == {b.department_id: True}
        assert tree.events(account_id) == [("member.updated", 2)]
    assert tree.memberships("third") == {ids["1"]: True, b.department_id: False}
    assert tree.events("untouched") == []
    assert tree.events(a.department_id) == [("department.created", 1), ("department.merged", 2)]
    assert tree.events(ids["2"]) == [("department.created", 1), ("department.moved", 2)]
    assert tree.events(below.department_id) == [("department.created", 1)]
    assert tree.events(b.department_id) == [("department.created", 1)]
    await tree.check()


async def test_a_member_event_of_a_merger_tells_the_memberships_after_it(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    below = await tree.create("x", a.department_id)
    tree.put_member("m", below.department_id, a.department_id)
    await tree.merge(a.department_id, b.department_id)
    (row,) = (row for row in tree.rows(outbox.TABLE) if row.entity_id == "m")
    told = Parse(row.payload, events_pb2.MemberEvent())
    assert [(each.path, each.main) for each in told.member.memberships] == [("B/x", True), ("B", False)]
    assert (told.member.version, told.actor) == (2, "admin")


async def test_a_merger_names_few_ids_in_a_statement(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(department_changes, "AT_ONCE", 2)
    into, gone = await tree.create("A"), await tree.create("B")
    children = [await tree.create(f"{number}", gone.department_id) for number in range(5)]
    for number in range(5):
        tree.put_member(f"m{number}", gone.department_id)
    asked: list[int] = []
    rows_of = departments.rows_of

    def noted(connection: sa.Connection, ids: Sequence[str]) -> list[sa.Row[Any]]:
        asked.append(len(ids))
        return rows_of(connection, ids)

    monkeypatch.setattr(departments, "rows_of", noted)
    await tree.merge(gone.department_id, into.department_id)
    assert asked == [2, 2, 1]
    told = [row.entity_id for row in sorted(tree.rows(outbox.TABLE), key=lambda row: row.seq) if "moved" in row.subject]
    assert told == [each.department_id for each in children]
    await tree.check()


async def test_a_department_merges_into_the_one_above(tree: Tree) -> None:
    """Also when a department below has its name: it makes room."""
    top = await tree.create("A")
    gone = await tree.create("x", top.department_id)
    last = await tree.create("last", top.department_id)
    taken = await tree.create("x", gone.department_id)
    after = await tree.merge(gone.department_id, top.department_id)
    assert after.child_count == 2
    assert [each.department_id for each in (await tree.children(top.department_id)).departments] == [
        last.department_id,
        taken.department_id,
    ]
    await tree.check()


async def test_a_merger_is_refused_when_it_cannot_be(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    below = await tree.create("x", a.department_id)
    tree.put_member("m", a.department_id)
    assert await refused(tree.merge(a.department_id, a.department_id)) == "into_department_id"
    assert await refused(tree.merge(a.department_id, below.department_id)) == CYCLE
    assert await refused(tree.merge(a.department_id, b.department_id, version=2)) == STALE
    assert await refused(tree.merge(a.department_id, "unknown")) == NOT_FOUND
    await tree.create("x", b.department_id)
    assert await refused(tree.merge(a.department_id, b.department_id)) == EXISTS
    assert tree.memberships("m") == {a.department_id: True}
    await tree.check()


async def test_only_an_empty_department_can_be_deleted(tree: Tree) -> None:
    a, b = await tree.create("A"), await tree.create("B")
    below = await tree.create("x", a.department_id)
    tree.put_member("m", b.department_id)
    assert await refused(tree.delete(a.department_id)) == await refused(tree.delete(b.department_id)) == NOT_EMPTY
    await tree.delete(below.department_id)
    assert await refused(tree.delete(a.department_id, version=2)) == STALE
    await tree.delete(a.department_id)
    assert await refused(tree.delete(a.department_id)) == NOT_FOUND
    assert (await tree.get(b.department_id)).position == 0
    assert tree.events(a.department_id) == [("department.created", 1), ("department.deleted", 2)]
    await tree.check()


async def test_events_tell_paths_and_no_counts(tree: Tree) -> None:
    a = await tree.create("A")
    b = await tree.create("B", a.department_id)
    tree.put_member("m", b.department_id)
    await tree.merge(b.department_id, a.department_id)
    told = [Parse(row.payload, events_pb2.DepartmentEvent()) for row in tree.rows(outbox.TABLE)[:3]]
    assert [each.department.path for each in told] == ["A", "A/B", "A/B"]
    assert told[2].into_department_id == a.department_id
    assert (told[2].department.version, told[2].department.parent_id, told[2].actor) == (2, a.department_id, "admin")
    assert not any(getattr(each.department, field) for each in told for field in departments.COUNTED)


async def test_the_audit_log_says_what_was_done_without_names(tree: Tree) -> None:
    a, b = await tree.create("秘密甲"), await tree.create("秘密乙")
    await tree.rename(a.department_id, "秘密丙")
    await tree.move(a.department_id, b.department_id, version=2)
    tree.put_member("m", a.department_id)
    await tree.merge(a.department_id, b.department_id, version=3)
    await tree.delete((await tree.create("秘密丁")).department_id)
    rows = tree.rows(audit.TABLE)
    details = [json.loads(row.detail) for row in rows]
    assert not any("秘密" in row.detail for row in rows)
    assert {row.target_kind for row in rows} == {"department"}
    assert [row.target_id for row in rows[:5]] == [each.department_id for each in (a, b, a, a, a)]
    assert details[2] == {"changed": ["display_name"]}
    assert details[3] == {
        "before": {"parent_id": "", "position": 0},
        "after": {"parent_id": b.department_id, "position": 0},
    }
    into = {"parent_id": b.department_id, "into_department_id": b.department_id}
    assert details[4] == {**into, "members": 1, "departments": 0, "bindings": 0}


NAMES = ["", "   ", "a/b", "x" * 101, "x" * 10_000, "a\nb", "a\0b", "a\x1bb", "a\u2028b", "a\u202eb", "a\u2066b"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_checked(tree: Tree, name: str) -> None:
    made = await tree.create("x" * 100)
    assert await refused(tree.create(name)) == "display_name"
    assert await refused(tree.rename(made.department_id, name)) == "display_name"


@pytest.mark.parametrize("query", ["", "  ", "x" * 101, "a\0b"])
async def test_a_query_is_checked(tree: Tree, query: str) -> None:
    assert await refused(tree.search(query)) == "query"


@pytest.mark.parametrize("version", [0, -1, -(2**63)])
async def test_a_version_is_required(tree: Tree, version: int) -> None:
    made, other = await tree.create("A"), await tree.create("B")
    id_ = made.department_id
    assert await refused(tree.rename(id_, "C", version)) == "version"
    assert await refused(tree.move(id_, version=version)) == "version"
    assert await refused(tree.merge(id_, other.department_id, version)) == "version"
    assert await refused(tree.delete(id_, version)) == "version"


@pytest.mark.parametrize("version", [2, 2**63 - 1])
async def test_a_version_that_is_not_the_current_one_is_refused(tree: Tree, version: int) -> None:
    made = await tree.create("A")
    await tree.create("B")
    assert await refused(tree.rename(made.department_id, "C", version)) == STALE
    assert await refused(tree.move(made.department_id, version=version)) == STALE


@pytest.mark.parametrize("wrong", ["a/b", "x" * 65, "a b", "a\0", "%", "部门"])
async def test_ids_are_checked(tree: Tree, wrong: str) -> None:
    made = await tree.create("A")
    id_ = made.department_id
    for call in (
        tree.get(wrong),
        tree.rename(wrong, "B"),
        tree.move(wrong),
        tree.delete(wrong),
        tree.merge(wrong, id_),
    ):
        assert await refused(call) == "department_id"
    for placed in (tree.create("B", wrong), tree.move(id_, wrong), tree.children(wrong)):
        assert await refused(placed) == "parent_id"
    assert await refused(tree.merge(id_, wrong)) == "into_department_id"
    assert await refused(tree.move(id_, before=wrong)) == "before_department_id"


async def test_ids_are_required(tree: Tree) -> None:
    made = await tree.create("A")
    for call in (tree.get(""), tree.rename("", "B"), tree.move(""), tree.delete(""), tree.merge("", "x")):
        assert await refused(call) == "department_id"
    assert await refused(tree.merge(made.department_id, "")) == "into_department_id"


async def test_what_does_not_exist_is_not_found(tree: Tree) -> None:
    made = await tree.create("A")
    calls = (
        *(tree.get("x"), tree.children("x"), tree.create("B", "x"), tree.rename("x", "B"), tree.delete("x")),
        *(tree.move("x"), tree.move(made.department_id, "x"), tree.merge("x", made.department_id)),
    )
    for call in calls:
        assert await refused(call) == NOT_FOUND


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "½", "٣", " 1", "WzEsIngiXQ=="])
async def test_page_tokens_of_others_are_refused(tree: Tree, token: str) -> None:
    assert await refused(tree.children(page_token=token)) == "page_token"


async def test_a_page_beyond_the_last_is_empty(tree: Tree) -> None:
    await tree.create("A")
    page = await tree.children(page_token="9" * 200)
    assert (len(page.departments), page.next_page_token, page.total_count) == (0, "", 1)


@pytest.mark.parametrize("size", [-1, 501])
async def test_page_sizes_are_checked(tree: Tree, size: int) -> None:
    assert await refused(tree.children(page_size=size)) == "page_size"
    assert await refused(tree.search("x", page_size=size)) == "page_size"


async def test_two_who_move_departments_under_each_other_at_once_make_no_cycle(replicas: list[Changes]) -> None:
    one, other = (Tree(each) for each in replicas)
    for number in range(20):
        a, b = await one.create(f"A{number}"), await one.create(f"B{number}")
        came = await asyncio.gather(
            one.move(a.department_id, b.department_id),
            other.move(b.department_id, a.department_id),
            return_exceptions=True,
        )
        (failed,) = (each for each in came if isinstance(each, BaseException))
        assert isinstance(failed, errors.RpcError)
        assert failed.reason == CYCLE
    await one.check()


async def test_two_who_make_a_department_of_one_name_at_once_get_one(replicas: list[Changes]) -> None:
    one, other = (Tree(each) for each in replicas)
    for number in range(10):
        came = await asyncio.gather(one.create(f"{number}"), other.create(f"{number}"), return_exceptions=True)
        (failed,) = (each for each in came if isinstance(each, BaseException))
        assert isinstance(failed, errors.RpcError)
        assert failed.reason == EXISTS
    assert await one.names() == [f"{number}" for number in range(10)]
    await one.check()
