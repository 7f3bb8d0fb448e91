"""The address book: whom it is open for, what cards say, and that nothing tells of what one does not see."""

from typing import Any

import pytest
import sqlalchemy as sa
from yunhui.directory.v1 import address_book_service_pb2 as api
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import address_book, members
from services.directory.changes import Changes
from services.directory.models import MEMBER
from services.platform.serving import errors
from tests.directory.conftest import ADMIN
from tests.directory.people import add, department, memberships
from tests.directory.sights import ALL_FIELDS, OWN, card, found, pages_of, put, seeker, walk
from tests.directory.tree import refused

CLOSED = "FAILED_PRECONDITION ADDRESS_BOOK_CLOSED"
MISSING = "NOT_FOUND COLLEAGUE_NOT_FOUND"
FACTS = {"email": "Dan@example.org", "phone": "+8613800138000", "title": "Engineer", "staff_id": "S-77"}
FIELDS: dict[str, pb.CardField.ValueType] = dict(address_book.CARDS.items())


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        for department_id, name, parent in (("a", "计算中心", ""), ("ab", "网络组", "a"), ("x", "Library", "")):
            department(connection, department_id, name, parent)

    await changes.database.write(work)
    await add(changes, "ann", "安娜", memberships=memberships("x"))
    await add(changes, "dan", "单雄信", memberships=memberships("ab", "x", main="x"), **FACTS)


async def test_at_first_it_is_open_and_says_nothing_that_reaches_people(changes: Changes) -> None:
    told = await address_book.get(changes.database, seeker("ann"))
    assert told == api.GetAddressBookResponse(
        open=True, departments_shown=True, fields=[pb.CARD_FIELD_TITLE, pb.CARD_FIELD_DEPARTMENTS]
    )
    shown = await card(changes.database, seeker("ann"), "dan")
    assert shown == api.Colleague(
        account_id="dan",
        display_name="单雄信",
        title="Engineer",
        departments=[
            pb.NamedDepartment(department_id="x", path="Library"),
            pb.NamedDepartment(department_id="ab", path="计算中心/网络组"),
        ],
    )
    assert sorted(await walk(changes.database, seeker("ann"))) == ["a", "ab", "x"]


@pytest.mark.parametrize("who", ["ann", "stranger"])
async def test_where_it_is_closed_everything_is_answered_alike(changes: Changes, who: str) -> None:
    """To everybody when it is not shown, and to who is not a member, whatever they may see in the console."""
    if who == "ann":
        await put(changes, address_book_shown=False)
    database, by = changes.database, seeker(who, None)
    assert await address_book.get(database, by) == api.GetAddressBookResponse()
    for account_id in ("dan", "nobody", who):
        assert await refused(card(database, by, account_id)) == CLOSED
    assert await refused(pages_of(database, by)) == CLOSED
    assert await refused(walk(database, by)) == CLOSED


async def test_who_is_disabled_is_not_in_it(changes: Changes) -> None:
    request = member_api.SetMemberEnabledRequest(account_id="dan", version=1, enabled=False)
    await members.set_enabled(changes, request, ADMIN)
    assert await found(changes.database, seeker("ann", None)) == ["ann"]
    assert await refused(card(changes.database, seeker("ann", None), "dan")) == MISSING


async def test_who_is_not_seen_is_answered_as_who_does_not_exist(changes: Changes) -> None:
    """To the letter."""
    await put(changes, rules={"x": (OWN, [])}, hidden=[])
    await add(changes, "eve", "伊娃", memberships=memberships("ab"))
    answers = []
    for account_id in ("eve", "nobody"):
        with pytest.raises(errors.RpcError) as caught:
            await card(changes.database, seeker("ann"), account_id)
        answers.append((str(caught.value), [each.SerializeToString() for each in caught.value.details]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", [*FACTS, "departments"])
async def test_a_field_is_told_and_found_by_only_where_cards_say_it(changes: Changes, name: str) -> None:
    field = FIELDS.get(name, pb.CARD_FIELD_DEPARTMENTS)
    queries = {"email": "dan@EXAMPLE", "phone": "3800138", "title": "engin", "staff_id": "s-77", "departments": "网络"}
    others = [each for each in ALL_FIELDS if each != field]
    by = seeker("ann")
    await put(changes, fields=others)
    assert not getattr(await card(changes.database, by, "dan"), name)
    assert await found(changes.database, by, query=queries[name]) == []
    await put(changes, fields=[field])
    shown = await card(changes.database, by, "dan")
    assert [each for each in (*FACTS, "departments") if getattr(shown, each)] == [name]
    assert await found(changes.database, by, query=queries[name]) == ["dan"]


@pytest.mark.parametrize("query", ["单", "雄信", "shanxiongxin", "SXX", "sxx dan", "dan"])
async def test_people_are_found_by_name_pinyin_initials_and_account(changes: Changes, query: str) -> None:
    await put(changes, fields=[])
    assert await found(changes.database, seeker("ann"), query=query) == ["dan"]


@pytest.mark.parametrize("query", ["%", "_", "\\", "dan@", "sxx library"])
async def test_what_does_not_stand_there_is_not_found(changes: Changes, query: str) -> None:
    await put(changes, fields=[])
    assert await found(changes.database, seeker("ann"), query=query) == []


@pytest.mark.parametrize("query", ["wangluozu", "wlz", "LIBRARY", "wlz engineer"])
async def test_words_are_found_in_whatever_cards_say(changes: Changes, query: str) -> None:
    await put(changes, fields=ALL_FIELDS)
    assert "dan" in await found(changes.database, seeker("ann"), query=query)


async def test_departments_that_one_does_not_see_neither_show_nor_match(changes: Changes) -> None:
    await put(changes, fields=ALL_FIELDS, rules={"x": (OWN, [])})
    by = seeker("ann")
    assert [each.department_id for each in (await card(changes.database, by, "dan")).departments] == ["x"]
    assert await found(changes.database, by, query="网络") == []
    for department_id, seen in (("x", ["ann", "dan"]), ("ab", []), ("a", []), ("gone", [])):
        for below in (False, True):
            assert await found(changes.database, by, department_id=department_id, below=below) == seen
    assert await walk(changes.database, by) == ["x"]
    request = api.ListColleagueDepartmentsRequest(parent_id="a")
    assert (
        await refused(address_book.list_departments(changes.database, request, by)) == "NOT_FOUND DEPARTMENT_NOT_FOUND"
    )


async def test_a_tree_that_is_not_shown_has_no_departments(changes: Changes) -> None:
    """Cards say theirs nevertheless, and one finds who belongs to them."""
    await put(changes, departments_shown=False)
    by = seeker("ann", None)
    assert await walk(changes.database, by) == []
    request = api.ListColleagueDepartmentsRequest(parent_id="a")
    assert (
        await refused(address_book.list_departments(changes.database, request, by)) == "NOT_FOUND DEPARTMENT_NOT_FOUND"
    )
    assert await found(changes.database, by, department_id="ab") == ["dan"]


async def test_without_departments_on_cards_nobody_is_found_by_one(changes: Changes) -> None:
    await put(changes, fields=[pb.CARD_FIELD_TITLE])
    for below in (False, True):
        assert await found(changes.database, seeker("ann", None), department_id="x", below=below) == []


async def test_a_department_below_a_hidden_one_stays_away_and_one_beside_it_is_at_the_top(changes: Changes) -> None:
    await put(changes, hidden=["a"])
    assert await walk(changes.database, seeker("ann")) == ["x"]
    assert sorted(await walk(changes.database, seeker("ann", frozenset({"ab"})))) == ["ab", "x"]


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"query": "x" * 101}, "query"),
        ({"department_id": "a b"}, "department_id"),
        ({"page_size": 501}, "page_size"),
        ({"page_token": "no"}, "page_token"),
    ],
)
async def test_bad_questions_name_their_field(changes: Changes, asked: dict[str, Any], fault: str) -> None:
    request = api.ListColleaguesRequest(**asked)
    assert await refused(address_book.list_(changes.database, request, seeker("ann"))) == fault


async def test_what_changes_is_found_anew(changes: Changes) -> None:
    request = member_api.UpdateMemberRequest(account_id="dan", version=1, display_name="王伟", hidden=True)
    assert (await members.update(changes, request, ADMIN)).hidden
    assert await found(changes.database, seeker("dan"), query="wangwei") == ["dan"]
    assert await found(changes.database, seeker("dan"), query="sxx") == []
    assert await found(changes.database, seeker("ann")) == ["ann"]


async def test_an_older_directory_keeps_its_names_when_it_is_migrated(changes: Changes) -> None:
    """What the migration makes of the text that was there is what a change makes."""
    from importlib import import_module

    migration = import_module("services.directory.migrations.0007_visibility")
    await add(changes, "ww", "王伟", email="ww@example.org", staff_id="wangwei")
    await add(changes, "Bo", "bo", phone="+8613800138001")
    with changes.database.engine.connect() as connection:
        for row in connection.execute(sa.select(MEMBER)):
            made = migration._without_others(row)
            assert {*made.split("\n")} == {*row.card_text.split("\n")}
