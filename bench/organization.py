"""A large organization, written straight into the directory of a stopped installation, and a table of newcomers.

A hundred thousand members in two thousand departments on seven levels. Four in five departments lie below the first one
at the top; one member in ten has a second department, and one in ten belongs to a large one besides. One member in ten
has a role, and a hundred may do all for the first department.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bench import bookers
from services.directory import department_changes, grants, import_tables, memberships, search
from services.directory.models import BINDING, DEPARTMENT, MEMBER, ROLE_PERMISSION
from services.directory.models import ROLE as ROLES
from services.platform.data.database import Insert, create_engine

MEMBERS, DEPARTMENTS, NEWCOMERS = 100_000, 2_000, 10_000
AT_TOP, LEVELS = 10, 7
LARGE, IN_LARGE = 1, 9_700
"""A department at the top, and how many belong to it besides their own."""
ROLE, HOLDERS = "role_bench", 10_000
SCOPED = 100
BELOW_FIRST, IN_SECOND = 0.8, 0.1
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲华建国志海云飞鹏浩宇晨雪梅琳欣怡嘉子涵一诺思远"
NAMES = 3_000
UNITS = ("研究所", "实验室", "中心", "办公室", "学院", "处")
STATUSES = ("ENABLED",) * 17 + ("NOT_ACTIVATED",) * 2 + ("DISABLED",)


def fill(url: str) -> None:
    dice = random.Random(7)  # noqa: S311 - a fixed sample
    names = [_name(dice) for _ in range(NAMES)]
    engine = create_engine(url)
    with engine.begin() as connection:
        rows = [*_departments(dice)]
        Insert(DEPARTMENT).execute(connection, rows)
        places = [row["department_id"] for row in rows]
        there = {member_id(number): _some(places, dice) for number in range(MEMBERS)}
        large = department_id(LARGE)
        for some in [*there.values()][-IN_LARGE:]:
            some += [large] if large not in some else []
        members = [_member(number, dice.choice(names), main, dice) for number, (main, *_) in enumerate(there.values())]
        Insert(MEMBER).execute(connection, members)
        memberships.put(connection, there)
        _give_roles(connection)
    if engine.dialect.name == "postgresql":  # it would come to it while we measure
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    engine.dispose()


def _give_roles(connection: Connection) -> None:
    named = {"role_id": ROLE, "display_name": "工程师", "description": "", "version": 1}
    connection.execute(sa.insert(ROLES).values(**named, create_time=bookers.MIDNIGHT, update_time=bookers.MIDNIGHT))
    connection.execute(sa.insert(ROLE_PERMISSION).values(role_id=ROLE, permission="members.view"))
    held = [*((ROLE, "", member_id(number)) for number in range(MEMBERS - HOLDERS, MEMBERS))]
    held += [("admin", department_id(0), member_id(number)) for number in range(SCOPED)]
    rows = [
        {"role_id": role_id, "department_id": place, "account_id": account_id, "binding_id": f"bin_{number}"}
        for number, (role_id, place, account_id) in enumerate(held)
    ]
    Insert(BINDING).execute(connection, [row | {"create_time": bookers.MIDNIGHT} for row in rows])
    grants.mark(connection, [member_id(number) for number in range(SCOPED)])


def department_id(number: int) -> str:
    return f"dep_{number:026}"


def newcomers() -> bytes:
    """CSV. Each tenth of the last thousand comes with a department that is not there yet."""
    dice = random.Random(8)  # noqa: S311 - a fixed sample
    head = ["账号", "姓名", "邮箱", "手机号", "职位", "工号", "部门", "账号状态"]
    tops = [_unit(number) for number in range(AT_TOP)]
    rows = [_newcomer(number, dice.choice(tops), dice) for number in range(NEWCOMERS)]
    return b"".join(import_tables.write_csv([head, *rows]))


def _newcomer(number: int, top: str, dice: random.Random) -> Sequence[str]:
    account, mobile = f"new-{number:06}", f"138{number:08}"
    place = f"{top}/新{number}" if number % 10 == 0 and number >= NEWCOMERS - 1_000 else top
    return [account, _name(dice), f"{account}@example.org", mobile, "工程师", f"N{number}", place, "已启用"]


def _departments(dice: random.Random) -> Iterator[dict[str, Any]]:
    paths: list[str] = []
    first, others = [0], [*range(1, AT_TOP)]
    """Those below the first one at the top and it itself; the rest."""
    for number in range(DEPARTMENTS):
        parent = None if number < AT_TOP else _parent(first if dice.random() < BELOW_FIRST else others, paths, dice)
        above = "" if parent is None else paths[parent]
        parent_id = "" if parent is None else department_id(parent)
        row = department_changes.new_row(
            department_id(number), parent_id, _unit(number), above, number, bookers.MIDNIGHT
        )
        paths.append(row["path"])
        if parent is not None:
            (first if row["path"].startswith(paths[0]) else others).append(number)
        yield row


def _parent(choice: Sequence[int], paths: Sequence[str], dice: random.Random) -> int:
    while True:
        parent = dice.choice(choice)
        if paths[parent].count("/") < LEVELS:
            return parent


def _unit(number: int) -> str:
    return f"{GIVEN[number % len(GIVEN)]}{SURNAMES[number // len(GIVEN) % len(SURNAMES)]}{UNITS[number % len(UNITS)]}"


def _name(dice: random.Random) -> str:
    return dice.choice(SURNAMES) + "".join(dice.sample(GIVEN, dice.choice((1, 2, 2))))


def member_id(number: int) -> str:
    return f"member-{number:06}"


def _some(places: Sequence[str], dice: random.Random) -> list[str]:
    return dice.sample(places, 2 if dice.random() < IN_SECOND else 1)


def _member(number: int, name: str, main: str, dice: random.Random) -> dict[str, Any]:
    account_id, staff_id = member_id(number), f"S{number}"
    email, phone = f"{account_id}@example.org", f"+86139{number:08}"
    sort_name, lines = _readings(name)
    return {
        "account_id": account_id,
        "display_name": name,
        "sort_name": sort_name,
        "card_text": search.to_text((), [*lines, account_id]),
        "search_text": search.to_text((), [*lines, account_id, email, staff_id, phone]),
        "email": email,
        "phone": phone,
        "title": "工程师",
        "staff_id": staff_id,
        "provider_user_id": None,
        "status": "ENABLED" if number < SCOPED else dice.choice(STATUSES),
        "licence_assign_time": bookers.MIDNIGHT if dice.random() < 0.1 else None,
        "verified": dice.random() < 0.5,
        "main_department_id": main,
        "version": 1,
        "create_time": bookers.MIDNIGHT - dice.randrange(10**9),
        "update_time": bookers.MIDNIGHT,
    }


@cache
def _readings(name: str) -> tuple[str, list[str]]:
    return search.to_order(name), search.to_text([name], read=search.as_person).split("\n")[1:-1]
