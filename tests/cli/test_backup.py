"""Backups: whole or not at all, readable by their owner only; damaged, newer and misplaced ones are refused by name."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.installation import issuer, snapshot
from services.installation.snapshot import MANIFEST, ORDER, SnapshotError
from services.installation.state import State
from services.platform.data import audit, migrations
from services.platform.data.audit import AuditEntry, Caller
from services.platform.data.database import create_engine
from tests.system.stack import yunhui

OUTBOX = sa.text(
    "INSERT INTO outbox (seq, event_id, subject, entity_id, entity_seq, time, payload, publish_time) "
    "VALUES (7, 'evt', 'yunhui.test.a.b', 'a', 1, 1, '{}', 99)"
)
OWNER = sa.text("INSERT INTO outbox_owner VALUES (1, 'somebody', 99999999999999)")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> State:
    """Databases as the programs make them, still open, with something in them."""
    state = State(tmp_path_factory.mktemp("installed") / "state")
    state.prepare()
    issuer.prepare_keys(state)
    (state.root / "mail").mkdir()
    for program in ORDER:
        engine = create_engine(f"sqlite:///{state.database(program)}")
        migrations.migrate(engine, f"services.{program}")
        with engine.begin() as connection:
            connection.execute(OUTBOX)
            connection.execute(OWNER)
            audit.append(connection, [AuditEntry(Caller("boss", frozenset({"admin"}), "m"), "room", program)])
    return state


@pytest.fixture
def place(installed: State, tmp_path: Path) -> Path:
    snapshot.take(installed, tmp_path / "backup")
    return tmp_path / "backup"


def rows(state: State, program: str, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{state.database(program)}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sa.text(query))]
    engine.dispose()
    return found


def test_what_was_backed_up_is_restored(installed: State, place: Path, tmp_path: Path) -> None:
    """And every event waits to be published again, by whoever comes first."""
    state = State(tmp_path / "new")
    manifest = snapshot.restore(place, state)
    names = {path.name for path in state.root.iterdir()}
    assert names == {*(f"{program}.db" for program in ORDER), "secrets.json", "issuer.json"}
    assert state.secrets.read_text() == installed.secrets.read_text()
    for program in ORDER:
        assert rows(state, program, "SELECT target_id FROM audit") == [(program,)]
        assert ("evt", None) in rows(state, program, "SELECT event_id, publish_time FROM outbox")
        assert not rows(state, program, "SELECT event_id FROM outbox WHERE publish_time IS NOT NULL")
        assert rows(state, program, "SELECT name, lease_end FROM outbox_owner") == [("", 0)]
        [(number, head)] = rows(installed, program, "SELECT number, hash FROM audit")
        assert manifest.audit_heads[program] == f"{number}:{head}"
    assert (99,) in rows(installed, "booking", "SELECT publish_time FROM outbox")


def test_no_copy_knows_what_the_one_it_hears_from_does_not(installed: State, tmp_path: Path) -> None:
    """Between two copies something always happens: booking tells, and the notifier takes it in at once."""

    def happen(name: str) -> None:
        told = ("INSERT INTO outbox (event_id, subject, entity_id, entity_seq, time, payload)", "'a', 1, 1, '{}'")
        heard = ("INSERT INTO inbox (event_id, subject, entity_id, entity_seq, receive_time)", "'a', 1, 1")
        for program, (insert, rest) in {"booking": told, "notifier": heard}.items():
            engine = create_engine(f"sqlite:///{installed.database(program)}")
            with engine.begin() as connection:
                connection.execute(sa.text(f"{insert} VALUES ('during-{name}', 's', {rest})"))
            engine.dispose()

    snapshot.take(installed, tmp_path / "backup", happen)
    state = State(tmp_path / "new")
    snapshot.restore(tmp_path / "backup", state)
    heard = set(rows(state, "notifier", "SELECT event_id FROM inbox"))
    told = set(rows(state, "booking", "SELECT event_id FROM outbox"))
    assert heard == {("during-notifier",)}  # what is copied before it is its own copy alone
    assert heard < told


def test_only_the_owner_may_read_it(place: Path, tmp_path: Path) -> None:
    snapshot.restore(place, State(tmp_path / "new"))
    for folder in (place, tmp_path / "new"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def change_byte(place: Path) -> None:
    file = place / "booking.db"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def edit(**changes: object) -> Callable[[Path], None]:
    def work(place: Path) -> None:
        manifest = json.loads((place / MANIFEST).read_text())
        (place / MANIFEST).write_text(json.dumps(manifest | changes))

    return work


def foreign_file(place: Path) -> None:
    manifest = json.loads((place / MANIFEST).read_text())
    edit(files=manifest["files"] | {"../escaped": [0, ""]})(place)


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a byte": (change_byte, snapshot.DAMAGED, "booking.db"),
    "a missing file": (lambda place: (place / "issuer.json").unlink(), snapshot.DAMAGED, "issuer.json"),
    "a cut file": (lambda place: (place / "policy.db").write_bytes(b"SQLite"), snapshot.DAMAGED, "policy.db"),
    "no manifest": (lambda place: (place / MANIFEST).unlink(), snapshot.NO_BACKUP, ""),
    "a cut manifest": (lambda place: (place / MANIFEST).write_text('{"format": 1'), snapshot.NO_BACKUP, ""),
    "a foreign file": (foreign_file, snapshot.NO_BACKUP, ""),
    "a newer form": (edit(format=2, version="9.9"), snapshot.NEWER, "9.9"),
    "newer tables": (edit(revisions=dict.fromkeys(ORDER, "9999"), version="9.9"), snapshot.NEWER, "9.9"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_whole_is_refused_and_nothing_is_written(place: Path, tmp_path: Path, fault: str) -> None:
    spoil, reason, what = FAULTS[fault]
    spoil(place)
    with pytest.raises(SnapshotError) as caught:
        snapshot.restore(place, State(tmp_path / "new"))
    assert (caught.value.reason, str(caught.value.what) if what else "") == (reason, what)
    assert not (tmp_path / "new").exists()


def test_a_directory_in_use_is_left_alone(installed: State, place: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    snapshot.restore(place, State(tmp_path / "empty"))
    with pytest.raises(SnapshotError, match="not empty"):
        snapshot.restore(place, State(tmp_path / "empty"))
    with pytest.raises(SnapshotError, match="exists"):
        snapshot.take(installed, place)
    with pytest.raises(SnapshotError, match="no installation"):
        snapshot.take(State(tmp_path / "nothing"), tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"backup", "empty"}


def test_a_backup_that_fails_in_the_middle_leaves_nothing(
    installed: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "synchronize", full)
    with pytest.raises(SnapshotError, match="No space left"):
        snapshot.take(installed, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_is_not_backed_up(place: Path, tmp_path: Path) -> None:
    state = State(tmp_path / "new")
    snapshot.restore(place, state)
    content = bytearray(state.database("booking").read_bytes())
    content[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    state.database("booking").write_bytes(content)
    with pytest.raises(SnapshotError):
        snapshot.take(state, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_the_commands_say_what_they_did(installed: State, tmp_path: Path, lang: str) -> None:
    common = ("--lang", lang)
    place = str(tmp_path / "backup")
    made = yunhui("backup", place, "--state", str(installed.root), *common)
    assert (made.code, "booking:1:" in made.out.replace("\n", "")) == (0, True)
    assert yunhui("backup", place, "--state", str(installed.root), *common).code == 2
    new = str(tmp_path / "new")
    assert yunhui("restore", place, "--state", new, *common).code == 0
    refused = yunhui("restore", place, "--state", new, *common)
    assert (refused.code, new in refused.err.replace("\n", "")) == (2, True)
    change_byte(Path(place))
    refused = yunhui("restore", place, "--state", f"{new}2", *common)
    assert (refused.code, "booking.db" in refused.err) == (1, True)
    told = yunhui("backup", f"{place}2", "--state", new, "--json").answer
    assert told["files"].keys() >= {"booking.db", "issuer.json"}
