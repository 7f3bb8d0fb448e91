"""What `yunhui doctor` sees of databases that are not as they should be."""

from collections.abc import Iterator
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from services.cli import storage
from services.cli.findings import Finding
from services.installation.state import State
from services.platform.data.database import Database
from services.platform.messaging.bus import Event
from services.platform.messaging.outbox import append


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path)
    database = Database(f"sqlite:///{made.database('notifier')}")
    database.migrate("services.notifier")
    database.close()
    return made


@pytest.fixture
def file(state: State) -> Iterator[sqlite.Connection]:
    connection = sqlite.connect(state.database("notifier"), isolation_level=None)
    yield connection
    connection.close()


def found(state: State) -> dict[str, Finding]:
    return {finding.what: finding for finding in storage.check_database(state, "notifier")}


def test_a_fresh_database_is_well(state: State) -> None:
    assert {finding.state for finding in found(state).values()} == {"ok"}


def test_an_older_form_is_a_fault_with_a_way_out(state: State, file: sqlite.Connection) -> None:
    file.execute("UPDATE alembic_version SET version_num = '0000'")
    finding = found(state)["notifier.db migrations"]
    assert (finding.state, finding.detail.startswith("0000 / ")) == ("fail", True)
    assert finding.way_out_in("en")
    assert finding.way_out_in("zh-CN") != finding.way_out_in("en")


def test_dead_events_are_a_warning(state: State, file: sqlite.Connection) -> None:
    file.execute("INSERT INTO dead_event VALUES ('d', 's', '{}', x'', 'r', 'open', '', '', 1, 1)")
    assert (found(state)["dead events"].state, found(state)["dead events"].detail) == ("warn", "1")


async def test_what_is_not_published_for_long_is_a_warning(state: State) -> None:
    database = Database(f"sqlite:///{state.database('notifier')}")
    event = Event("evt_1", "yunhui.notifier.delivery.sent", "dlv_1", 1, 1, "{}")
    await database.write(lambda connection: append(connection, [event]))
    database.close()
    assert found(state)["notifier outbox"].state == "warn"


def test_an_absent_database_is_a_fault_and_stays_absent(tmp_path: Path) -> None:
    """Looking must not make an empty file."""
    state = State(tmp_path)
    assert found(state)["notifier.db"].state == "fail"
    assert not state.database("notifier").exists()


def test_a_damaged_database_is_a_fault(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.database("notifier").write_bytes(b"this is no database" * 100)
    assert found(state)["notifier.db"].state == "fail"


def test_little_room_is_told(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """First a warning, then a fault."""
    monkeypatch.setattr(storage, "LITTLE_BYTES", 1 << 62)
    assert storage.check_disk(state).state == "warn"
    monkeypatch.setattr(storage, "TOO_LITTLE_BYTES", 1 << 61)
    assert storage.check_disk(state).state == "fail"
