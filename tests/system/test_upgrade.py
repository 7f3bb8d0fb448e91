"""An installation that an older yunhui made goes on under this one, with all that it knew.

`kept/8a04e19.tar.xz` is the state directory of that commit's `yunhui up --clock 2027-03-01T08:00`, stopped in good
order, without secrets, keys, logs and mails. In it `booker` reserved 11:00, 12:00 (120 people, approved by support) and
13:00 of 2 March and came to none of them; so booking is closed to them, and they object to the last one. The policy was
published again. `lin` has 10:00 of 5 March.
"""

import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from services.installation import development_clock
from services.installation.state import State
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

KEPT = Path(__file__).parent / "kept" / "8a04e19.tar.xz"
STOPPED = datetime.fromisoformat("2027-03-02T15:10+08:00")
THEN = ("policy", "meetings", "booking", "notifier")
"""The programs that kept anything."""
WORKING = {"outbox_owner", "alembic_version"}
"""What every start writes: who publishes, and which form the tables have."""

Rows = dict[str, dict[tuple[object, ...], dict[str, object]]]


def rows(database: Path) -> Rows:
    """All of a database: of each table the rows by primary key, with their columns."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: dict(table(connection, name)) for name in sorted(set(names) - WORKING)}


def table(connection: sqlite3.Connection, name: str) -> Iterator[tuple[tuple[object, ...], dict[str, object]]]:
    columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
    key = [column["name"] for column in columns if column["pk"]]
    for row in connection.execute(f'SELECT * FROM "{name}"'):  # noqa: S608 - from the schema
        yield tuple(row[column] for column in key), dict(row)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("before") / "state"
    with tarfile.open(KEPT) as archive:
        archive.extractall(state, filter="data")
    return state


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("upgraded") / "state"
    with tarfile.open(KEPT) as archive:
        archive.extractall(state, filter="data")
    offset = development_clock.to_milliseconds(STOPPED) - time.time_ns() // 1_000_000
    State(state).clock.write_text(f'{{"offset_ms": {offset}}}')
    stack = Stack(state, bare=True)
    stack.start("--portal", "off")
    yield stack
    stack.stop()


@pytest.mark.parametrize("program", THEN)
def test_every_row_is_still_there(before: Path, upgraded: Stack, program: str) -> None:
    """With what its columns said; a table or a column may have come, and rows."""
    now = rows(upgraded.state / f"{program}.db")
    for name, there in rows(before / f"{program}.db").items():
        for key, row in there.items():
            assert row.items() <= now[name][key].items(), f"{program}: {name} {key}"


def test_people_find_what_they_had(upgraded: Stack) -> None:
    booker, lin = upgraded.login("booker"), upgraded.login("booker", "lin")
    assert [each["state"] for each in booker.mine()] == ["RESERVATION_STATE_NO_SHOW"] * 3
    standing = booker.yunhui("quota").answer["standing"]
    assert len(standing["violations"]) == 3
    assert standing["suspension"]["endTime"] == "2027-03-09T04:30:00Z"
    assert [each["state"] for each in lin.mine()] == ["RESERVATION_STATE_CONFIRMED"]
    refused = booker.reserve("2027-03-04 10:00")
    assert refused.answer["outcome"] == "OUTCOME_DENIED"
    assert [each["ruleId"] for each in refused.answer["decision"]["rules"]] == ["SUSPENSION"]


def test_support_and_admins_find_what_they_had(upgraded: Stack) -> None:
    support, admin = upgraded.login("support"), upgraded.login("admin")
    [objection] = support.yunhui("objections").answer["objections"]
    assert objection["violation"]["objection"]["text"] == "在场，会议改到别的房间"
    assert [each["version"] for each in admin.yunhui("policy", "list").answer["policies"]] == ["default@2", "default@1"]
    assert admin.yunhui("audit", "verify").code == 0


def test_work_goes_on(upgraded: Stack) -> None:
    """What was reserved can be given back, a new request is answered and its mail goes out; no old mail goes again."""
    lin = upgraded.login("booker", "lin")
    [kept] = lin.mine()
    assert lin.yunhui("cancel", kept["reservationId"]).code == 0
    assert lin.reserve("2027-03-05 14:00").answer["outcome"] == "OUTCOME_CONFIRMED"
    wait_for(lambda: len(mails(upgraded)) == 2)
    assert all("lin@example.org" in each for each in mails(upgraded))


def mails(stack: Stack) -> list[str]:
    return [mail["to"] for mail in stack.yunhui("mail", "--json").answer["mails"]]
