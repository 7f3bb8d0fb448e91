"""Finding members: each filter and all together, against a plain one in Python; pages; how names are read."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import member_queries, members, memberships, search
from services.directory.changes import Changes
from services.directory.models import MEMBER
from services.directory.scopes import EVERYWHERE
from services.platform.data.database import Database
from services.platform.serving import errors
from tests import templates
from tests.directory.conftest import ADMIN, MONDAY, ManualClock
from tests.directory.people import add, department

PEOPLE = [
    "单雄信",
    "曾国藩",
    "仇英",
    "解缙",
    "王伟",
    "王薇",
    "Anna Müller",
    "anna 100%",
    "O_Brien",
    "欧阳修",
    "ß\\x",
    "重庆",
]
PARENTS = {"a": "", "b": "a", "c": "b", "a_": "", "axb": "a_"}


async def find(database: Database, **asked: Any) -> api.ListMembersResponse:
    return await member_queries.list_(database, api.ListMembersRequest(**asked), MONDAY, EVERYWHERE)


async def names(changes: Changes, **asked: Any) -> list[str]:
    return [each.display_name for each in (await find(changes.database, **asked)).members]


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("单雄信", "shanxiongxin"), ("曾国藩", "zengguofan"), ("仇英", "qiuying"), ("解缙", "xiejin"),
        ("查良镛", "zhaliangyong"), ("区建国", "oujianguo"), ("朴树", "piaoshu"), ("尉迟恭", "yuchigong"),
        ("万俟卨", "moqixie"), ("长孙无忌", "zhangsunwuji"), ("盖叫天", "gejiaotian"), ("任正非", "renzhengfei"),
        ("翟志刚", "zhaizhigang"), ("缪斯", "miaosi"), ("种师道", "chongshidao"), ("乐毅", "yueyi"),
        ("员半千", "yunbanqian"), ("覃海洋", "qinhaiyang"), ("令狐冲", "linghuchong"), ("单于", "chanyu"),
        ("王长江", "wangchangjiang"),
    ],
)  # fmt: skip
def test_a_chinese_name_begins_with_a_surname(name: str, reading: str) -> None:
    assert search.to_order(name).replace(" ", "").rstrip(name).translate({ord(each): "" for each in "1234"}) == reading
    assert next(search.readings(search.as_person(name))) == reading
    assert f"\n{reading}\n" in search.to_text([name], (), search.as_person)


def test_other_readings_are_found_too() -> None:
    assert {"tanhaiyang", "thy"} <= {*search.readings(search.as_person("覃海洋"))}
    assert {"danxiongxin", "dxx"} <= {*search.readings(search.as_person("单雄信"))}
    long = [*search.readings(search.as_person("长x" * 50))]
    assert len(long) == 2 * search.MOST_READINGS


def test_a_department_does_not_begin_with_a_surname() -> None:
    assert next(search.readings(search.as_words("单位"))) == "danwei"
    assert "chongqing" in search.to_text(["重庆"])
    assert "zengjia" in search.to_text(["增加"])


def matches(member: pb.Member, asked: api.ListMembersRequest) -> bool:
    """What the contract says, without SQL."""
    others = [member.account_id, member.email, member.staff_id, member.phone]
    lines = search.to_text([member.display_name], others, search.as_person).splitlines()
    here = {each.department_id for each in member.memberships}
    for each in [*here] if asked.below else []:
        while each := PARENTS[each]:
            here.add(each)
    return (
        all(any(word in line for line in lines) for word in asked.query.casefold().split())
        and (not asked.statuses or member.status in asked.statuses)
        and (not asked.account_types or member.account_type in asked.account_types)
        and (not asked.department_id or asked.department_id in here)
        and (not asked.without_department or not here)
        and (not asked.HasField("verified") or member.verified == asked.verified)
    )


@pytest.fixture(scope="module", params=templates.DATABASES)
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """150 people who share much."""
    folder: Path = tmp_path_factory.mktemp("crowd")
    if request.param == "sqlite":
        url = templates.on_sqlite(folder / "crowd.db", "services.directory")
    else:
        url = templates.on_postgres(request.getfixturevalue("postgres_server"), "crowd", "services.directory")
    database, dice = Database(url), random.Random(1)
    with database.engine.begin() as connection:
        for each, parent in PARENTS.items():
            department(connection, each, each.upper(), parent)
        for number in range(150):
            _insert(connection, number, dice)
    yield database
    database.close()


def _insert(connection: sa.Connection, number: int, dice: random.Random) -> None:
    row: dict[str, Any] = {
        "account_id": f"u{number}",
        "display_name": dice.choice(PEOPLE),
        "title": "",
        "provider_user_id": None,
    }
    row |= {"email": dice.choice(["", f"a{number}@x.org"]), "phone": "", "staff_id": dice.choice([None, f"S_{number}"])}
    row |= {"status": dice.choice(["ENABLED", "NOT_ACTIVATED", "DISABLED"]), "verified": dice.random() < 0.5}
    row |= {"licence_assign_time": dice.choice([None, MONDAY]), "version": 1, "update_time": MONDAY}
    row |= {"create_time": MONDAY + dice.randrange(20)}
    there = dice.sample([*PARENTS], dice.choice([0, 1, 1, 2, 3]))
    row |= {"main_department_id": memberships.main_of(there)}
    connection.execute(sa.insert(MEMBER).values(row | members.found_by(row)))
    memberships.put(connection, {row["account_id"]: there})


WORDS = [
    "w",
    "WANG",
    "wei",
    "王",
    "sxx",
    "zeng",
    "anna",
    "100%",
    "_",
    "%",
    "\\",
    "u1",
    "@x",
    "s_1",
    "ß",
    "müll",
    "qing",
]


@settings(max_examples=60)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=2),
    statuses=st.sets(st.sampled_from([1, 2, 3]), max_size=2),
    types=st.sets(st.sampled_from([1, 2])),
    place=st.one_of(st.none(), st.sampled_from(["", *PARENTS, "gone"])),
    below=st.booleans(),
    verified=st.one_of(st.none(), st.booleans()),
    order=st.sampled_from([0, 1, 2]),
    size=st.sampled_from([1, 7, 500]),
    many=st.sampled_from([0, member_queries.MANY]),
)
async def test_pages_are_what_a_plain_filter_lets_through(
    crowd: Database, words: list[str], statuses: set[int], types: set[int], place: str | None, below: bool,
    verified: bool | None, order: int, size: int, many: int,
) -> None:  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member_queries, "MANY", many)
        await _check_pages(crowd, words, statuses, types, place, below, verified, order, size)


async def _check_pages(
    crowd: Database, words: list[str], statuses: set[int], types: set[int], place: str | None, below: bool,
    verified: bool | None, order: int, size: int,
) -> None:  # fmt: skip
    asked: Any = {"query": " ".join(words), "statuses": statuses, "account_types": types, "below": below}
    asked |= {"verified": verified, "department_id": place or "", "without_department": place is None}
    everybody = [*(await find(crowd, page_size=500)).members]
    wanted = [each for each in everybody if matches(each, api.ListMembersRequest(**asked))]
    if order == api.MEMBER_ORDER_NEWEST:
        wanted.sort(key=lambda each: (each.create_time.ToNanoseconds(), each.account_id), reverse=True)
    else:
        wanted.sort(key=lambda each: (search.to_order(each.display_name), each.account_id))
    shown: list[pb.Member] = []
    token = "first"
    while token:
        page = await find(crowd, **asked, order=order, page_size=size, page_token="" if token == "first" else token)
        assert page.total_count == len(wanted)
        shown += page.members
        token = page.next_page_token
        if len(shown) > 3 * size and size == 1:
            wanted = wanted[: len(shown)]
            break
    assert [each.account_id for each in shown] == [each.account_id for each in wanted]


@pytest.mark.parametrize("order", [api.MEMBER_ORDER_NAME, api.MEMBER_ORDER_NEWEST])
async def test_whoever_stays_is_shown_once(changes: Changes, clock: ManualClock, order: api.MemberOrder) -> None:
    """While others come and go between the pages."""
    dice = random.Random(2)
    stay = {f"stay {number}" for number in range(20)}
    for each in [*stay, *(f"go{number}" for number in range(10))]:
        clock.time += dice.choice([0, 1])
        await add(changes, each, dice.choice(PEOPLE))
    shown, token, step = list[str](), "", 0
    while token or not step:
        page = await find(changes.database, order=order, page_size=4, page_token=token)
        shown += [each.account_id for each in page.members]
        token, step = page.next_page_token, step + 1
        await add(changes, f"new{step}", dice.choice(PEOPLE))
        if step <= 10:
            request = api.DeleteMemberRequest(account_id=f"go{step - 1}", version=1)
            await members.delete(changes, request, ADMIN)
    assert len(shown) == len({*shown})
    assert stay <= {*shown}


async def test_a_list_knows_how_many_there_are_where_it_ends(changes: Changes) -> None:
    for each in ("a", "b"):
        await add(changes, each)
    first = await find(changes.database, page_size=1)
    await members.delete(changes, api.DeleteMemberRequest(account_id="b", version=1), ADMIN)
    last = await find(changes.database, page_size=1, page_token=first.next_page_token)
    assert (len(last.members), last.total_count, last.next_page_token) == (0, 1, "")
    assert (await find(changes.database, query="nobody")).total_count == 0


async def test_a_member_isfound_by_what_they_are_called_now(changes: Changes) -> None:
    await add(changes, "a", "仇英", email="q@example.org", phone="+8613800138000", staff_id="S-1")
    for query in ("qiuying", "QY", "仇", "chou", "A", "q@EXAMPLE", "0138", "s-1 qiu"):
        assert await names(changes, query=query) == ["仇英"]
    request = api.UpdateMemberRequest(account_id="a", version=1, display_name="任 伟", staff_id="")
    await members.update(changes, request, ADMIN)
    assert await names(changes, query="renwei") == ["任 伟"]
    assert await names(changes, query="qiuying") == await names(changes, query="s-1") == []


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("query", {"query": "x" * 101}), ("query", {"query": "a\u0000"}), ("statuses", {"statuses": [0]}),
        ("statuses", {"statuses": [9]}), ("account_types", {"account_types": [0]}),
        ("account_types", {"account_types": [1, 9]}), ("department_id", {"department_id": "a b"}),
        ("without_department", {"without_department": True, "department_id": "a"}), ("order", {"order": 9}),
        ("page_size", {"page_size": -1}), ("page_size", {"page_size": 501}), ("page_token", {"page_token": "x"}),
    ],
)  # fmt: skip
async def test_bad_input_names_its_field(changes: Changes, field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(errors.RpcError, match=f"^{field}: "):
        await find(changes.database, **asked)


async def test_a_token_of_one_order_is_none_of_the_other(changes: Changes) -> None:
    for each in ("a", "b"):
        await add(changes, each)
    by_name = await find(changes.database, page_size=1)
    with pytest.raises(errors.RpcError, match="page_token"):
        await find(changes.database, order=api.MEMBER_ORDER_NEWEST, page_token=by_name.next_page_token)
