"""What is stored of who belongs where: filled by the migration, kept when many come at once."""

import pytest
import sqlalchemy as sa

from services.directory import api, memberships
from services.directory.changes import Changes
from tests.directory.conftest import ADMIN
from tests.directory.tree import Tree


@pytest.fixture
def tree(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(api, "caller", lambda: ADMIN)
    return Tree(changes)


async def test_a_database_from_before_learns_what_was_not_stored_then(tree: Tree) -> None:
    top = await tree.create("A")
    left, right = await tree.create("L", top.department_id), await tree.create("R", top.department_id)
    await tree.create("empty")
    await tree.place("both", left.department_id, right.department_id)
    await tree.place("one", right.department_id)
    await tree.place("none")
    with tree.database.engine.begin() as connection:
        for index in ("member_facts", "member_order", "member_newest", "membership_department"):
            connection.execute(sa.text(f"DROP INDEX {index}"))
        for table, column in (
            ("department", "member_count_below"),
            ("member", "main_department_id"),
            ("membership", "main_department_id"),
            *(("organization", "joining"), ("organization", "visibility")),
            *(("member", "hidden"), ("member", "card_text"), ("member", "sign_in_time")),
        ):
            connection.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(sa.text("CREATE INDEX member_order ON member (sort_name, account_id)"))
        connection.execute(sa.text("CREATE INDEX member_newest ON member (create_time, account_id)"))
        connection.execute(
            sa.text("CREATE INDEX membership_department ON membership (department_id, main, account_id)")
        )
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0004'"))
    tree.database.migrate("services.directory")
    assert [each.member_count_below for each in await tree.all()] == [2, 0, 1, 2]
    await tree.check()


async def test_many_are_counted_piece_by_piece(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "AT_ONCE", 2)
    for number in range(3):
        await tree.place(f"m{number}", (await tree.create(f"before {number}")).department_id)
    table = {f"m{number}": [["A", f"{number % 5}"], ["B"]] for number in range(7)}
    await tree.take_in(table)
    assert {each.path: each.member_count_below for each in await tree.all() if each.parent_id == ""} == {
        **{f"before {number}": 0 for number in range(3)},
        "A": 7,
        "B": 7,
    }
    await tree.check()
