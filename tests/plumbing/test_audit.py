"""The audit log: no row can be changed, removed, exchanged or put in unseen; the numbers have no gaps."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from services.cli.audit import guarded, table
from services.platform.data import audit, migrations
from services.platform.data.audit import AuditEntry, Caller
from services.platform.data.chain import GENESIS, ChainEntry, ChainFault, Check, digest
from services.platform.data.database import create_engine
from tests import templates

BOSS = Caller("boss", frozenset({"admin", "support"}), "yunhui.test.v1.TestService/Act")
LENGTH = 12


@pytest.fixture(params=templates.DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/audit.db"
    address: str = request.getfixturevalue("postgres")
    return address


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = create_engine(url)
    migrations.migrate(made, "services.policy")
    yield made
    made.dispose()


def add(engine: sa.Engine, count: int, by: Caller = BOSS) -> None:
    for number in range(count):
        with engine.begin() as connection:
            audit.append(connection, [AuditEntry(by, "room", f"room-{number}", "会", detail={"b": 1, "a": number})])


def read(engine: sa.Engine) -> list[ChainEntry]:
    with engine.connect() as connection:
        return audit.read_after(connection, 0, 10_000)


def check(entries: list[ChainEntry], noted: dict[int, str] | None = None) -> ChainFault | None:
    found = Check(noted)
    found.follow(entries)
    return found.finish()


def test_a_log_that_nobody_touched_is_whole(engine: sa.Engine) -> None:
    add(engine, LENGTH)
    entries = read(engine)
    assert [entry.number for entry in entries] == list(range(1, LENGTH + 1))
    assert entries[0].previous_hash == GENESIS
    assert (entries[0].roles, entries[0].detail) == ("admin support", '{"a":0,"b":1}')
    assert check(entries, {each.number: each.hash for each in entries}) is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'other' WHERE number = 2", "DELETE FROM audit"])
def test_the_database_refuses_to_change_or_remove_rows(engine: sa.Engine, statement: str) -> None:
    add(engine, 3)
    before = read(engine)
    with pytest.raises(sa.exc.IntegrityError, match="only ever added"), engine.begin() as connection:
        connection.execute(sa.text(statement))
    assert read(engine) == before


def test_whoever_drops_the_triggers_is_found(engine: sa.Engine) -> None:
    """The hashes do not depend on the walls."""
    add(engine, LENGTH)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        else:
            connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")
        connection.execute(sa.text("UPDATE audit SET outcome = 'nothing' WHERE number = 7"))
    assert check(read(engine)) == ChainFault(7, "CHANGED")


@pytest.fixture(scope="module")
def chain() -> list[ChainEntry]:
    engine = sa.create_engine("sqlite://")
    audit.TABLE.create(engine)
    add(engine, LENGTH)
    return read(engine)


TEXTS = ("actor", "roles", "method", "target_kind", "target_id", "account_id", "outcome", "detail", "previous_hash")
ANY = st.integers(0, LENGTH - 1)


@given(index=ANY, field=st.sampled_from([*TEXTS, "hash", "time"]), data=st.data())
def test_a_changed_row_is_named(chain: list[ChainEntry], index: int, field: str, data: st.DataObject) -> None:
    old = getattr(chain[index], field)
    new = data.draw((st.integers(0, 2**60) if field == "time" else st.text(max_size=80)).filter(lambda v: v != old))
    other: dict[str, Any] = {field: new}
    changed = [*chain[:index], replace(chain[index], **other), *chain[index + 1 :]]
    assert check(changed) == ChainFault(index + 1, "CHANGED")


@given(index=st.integers(0, LENGTH - 2), outcome=st.text(min_size=5, max_size=20))
def test_a_forged_row_with_a_fresh_hash_shows_at_the_next(chain: list[ChainEntry], index: int, outcome: str) -> None:
    forged = rehashed(replace(chain[index], outcome=outcome))
    assert check([*chain[:index], forged, *chain[index + 1 :]]) == ChainFault(index + 2, "UNLINKED")


def rehashed(entry: ChainEntry) -> ChainEntry:
    values = [getattr(entry, name) for name in ChainEntry.__slots__ if name != "hash"]
    return replace(entry, hash=digest(*values))


@given(index=st.integers(0, LENGTH - 2))
def test_a_removed_row_is_named(chain: list[ChainEntry], index: int) -> None:
    assert check([*chain[:index], *chain[index + 1 :]]) == ChainFault(index + 1, "MISSING")


@given(index=st.integers(0, LENGTH - 2))
def test_a_removed_row_is_named_also_when_the_rest_moves_up(chain: list[ChainEntry], index: int) -> None:
    moved = [replace(each, number=each.number - 1) for each in chain[index + 1 :]]
    assert check([*chain[:index], *moved]) == ChainFault(index + 1, "CHANGED")
    assert check([*chain[:index], *map(rehashed, moved)]) == ChainFault(index + 1, "UNLINKED")


@given(first=ANY, second=ANY)
def test_exchanged_rows_are_named(chain: list[ChainEntry], first: int, second: int) -> None:
    """Whether the lines change places, or all that they say but their numbers."""
    low, high = sorted((first, second))
    if low == high:
        return
    lines = list(chain)
    lines[low], lines[high] = lines[high], lines[low]
    assert check(lines) == ChainFault(low + 1, "MISSING")
    contents = list(chain)
    contents[low] = replace(chain[high], number=low + 1)
    contents[high] = replace(chain[low], number=high + 1)
    assert check(contents) == ChainFault(low + 1, "CHANGED")


@given(index=st.integers(1, LENGTH - 1), outcome=st.text(max_size=20))
def test_an_inserted_row_is_named(chain: list[ChainEntry], index: int, outcome: str) -> None:
    """As it is, or, when it fits what is before it, the row behind it."""
    copied = replace(chain[index - 1], outcome=outcome)
    fitting = rehashed(replace(copied, number=index + 1, previous_hash=chain[index - 1].hash))
    behind = [replace(each, number=each.number + 1) for each in chain[index:]]
    assert check([*chain[:index], copied, *chain[index:]]) == ChainFault(index, "REPEATED")
    assert check([*chain[:index], fitting, *behind]) == ChainFault(index + 2, "CHANGED")
    assert check([*chain[:index], fitting, *map(rehashed, behind)]) == ChainFault(index + 2, "UNLINKED")


@given(kept=st.integers(0, LENGTH - 1), noted=ANY)
def test_a_log_that_was_cut_off_is_whole_unless_its_head_was_noted(
    chain: list[ChainEntry], kept: int, noted: int
) -> None:
    head = {noted + 1: chain[noted].hash}
    assert check(chain[:kept]) is None
    assert check(chain[:kept], head) == (ChainFault(kept + 1, "MISSING") if noted >= kept else None)


@given(noted=ANY)
def test_a_log_that_was_rewritten_as_a_whole_is_found_by_a_noted_head(chain: list[ChainEntry], noted: int) -> None:
    previous, rewritten = GENESIS, list[ChainEntry]()
    for entry in chain:
        rewritten.append(rehashed(replace(entry, actor="somebody else", previous_hash=previous)))
        previous = rewritten[-1].hash
    assert check(rewritten) is None
    assert check(rewritten, {noted + 1: chain[noted].hash}) == ChainFault(noted + 1, "NOT_AS_NOTED")


def test_replicas_that_write_at_once_leave_no_gap(url: str, engine: sa.Engine) -> None:
    """Each with connections of its own; none begins a round before all have ended the one before."""
    others = [create_engine(url) for _ in range(3)]
    together, rounds, each = threading.Barrier(4, timeout=60), 8, 5

    def work(own: sa.Engine, name: str) -> None:
        for _ in range(rounds):
            together.wait()
            add(own, each, replace(BOSS, account_id=name))

    threads = [threading.Thread(target=work, args=(own, str(i))) for i, own in enumerate([engine, *others])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read(engine)
    assert len(entries) == 4 * rounds * each
    assert check(entries) is None
    for own in others:
        own.dispose()


WRITER = """
import sys
from services.platform.data import audit
from services.platform.data.database import create_engine
engine, number = create_engine(sys.argv[1]), 0
while True:
    with engine.begin() as connection:
        entry = audit.AuditEntry(audit.Caller("boss", frozenset(), "m"), "room", str(number))
        audit.append(connection, [entry])
    number += 1
    print(number, flush=True)
"""


def test_after_kill_9_the_log_is_whole(url: str, engine: sa.Engine) -> None:
    """And has all that was committed."""
    told = 0
    for round_ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        for _ in range(3):
            writer.stdout.readline()
        time.sleep(0.003 * round_)
        os.kill(writer.pid, signal.SIGKILL)
        told += 3 + len(writer.communicate()[0].splitlines())
    add(engine, 1)
    entries = read(engine)
    assert check(entries) is None
    assert len(entries) >= told


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "\0=1"])
def test_no_cell_is_a_formula(cell: str, chain: list[ChainEntry]) -> None:
    assert guarded(cell) == f"'{cell}"
    written = io.StringIO()
    put: Callable[[str, ChainEntry], None] = table(written)
    put("booking", replace(chain[0], actor=cell.replace("\0", "=")))
    row = list(csv.reader(io.StringIO(written.getvalue(), newline="")))[1]
    assert row[3].startswith("'")


def test_what_is_no_formula_stays_as_it_is() -> None:
    assert [guarded(cell) for cell in ("", "boss", " boss", "a=b")] == ["", "boss", " boss", "a=b"]
