"""What `yunhui doctor` looks at on the disk: databases as the programs see them, what waits in them, and room."""

import shutil
from collections.abc import Iterator
from typing import Any

from services.cli.findings import Finding
from services.cli.terminal import Terminal
from services.installation.registry import SERVICE_NAMES
from services.installation.state import State
from services.platform.text.messages import message

FULL = 2  # PRAGMA synchronous
GIGABYTE = 1_000_000_000
TOO_LITTLE_BYTES, LITTLE_BYTES = GIGABYTE // 5, 2 * GIGABYTE
LONG_MS = 60_000


async def check(terminal: Terminal, _run: dict[str, Any]) -> list[Finding]:
    """Through the same function that the programs use: what they set is what is read here."""
    findings = [finding for name in SERVICE_NAMES for finding in check_database(terminal.state, name)]
    return [*findings, check_disk(terminal.state)]


def check_disk(state: State) -> Finding:
    free = shutil.disk_usage(state.root).free
    warns = free >= TOO_LITTLE_BYTES
    return Finding(
        "disk",
        free >= LITTLE_BYTES,
        f"{free / GIGABYTE:.1f} GB",
        message("make room on the disk, or use a larger one"),
        warns=warns,
    )


def check_database(state: State, name: str) -> list[Finding]:
    import sqlalchemy as sa  # half a second that no other command should pay

    from services.platform.data.database import create_engine

    if not state.database(name).exists():  # opening it would make an empty one
        return [Finding(f"{name}.db", False, "?", message("check the file and its permissions, or restore a backup"))]
    engine = create_engine(f"sqlite:///{state.database(name)}")
    try:
        with engine.connect().execution_options(read_only=True) as connection:
            return [
                *check_settings(connection, name),
                check_revision(connection, name),
                *check_backlog(connection, name),
            ]
    except sa.exc.DBAPIError as error:
        return [
            Finding(
                f"{name}.db",
                False,
                type(error).__name__,
                message("check the file and its permissions, or restore a backup"),
            )
        ]
    finally:
        engine.dispose()


def check_settings(connection: Any, name: str) -> Iterator[Finding]:
    from services.platform.data.database import MINIMUM_SQLITE

    version = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
    synchronous = int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)
    journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
    recent = tuple(int(part) for part in version.split(".")) >= MINIMUM_SQLITE
    safe = recent and journal == "wal" and synchronous >= FULL
    shown = "FULL" if synchronous >= FULL else str(synchronous)
    yield Finding(
        f"{name}.db",
        safe,
        f"SQLite {version}, {journal}, synchronous={shown}",
        message("check the file and its permissions, or restore a backup"),
    )


def check_revision(connection: Any, name: str) -> Finding:
    from services.platform.data import migrations

    current, newest = migrations.read_version(connection), max(migrations.read_revisions(f"services.{name}"))
    return Finding(
        f"{name}.db migrations",
        current == newest,
        f"{current} / {newest}",
        message("start the program: it upgrades its own tables"),
    )


def check_backlog(connection: Any, name: str) -> Iterator[Finding]:
    from services.platform.messaging import outbox

    status = outbox.read_status(connection)
    waiting = status.waiting_count
    stuck = waiting and (status.last_publish_time or 0) < outbox.real_time() - LONG_MS
    yield Finding(
        f"{name} outbox",
        not stuck,
        str(waiting),
        message("run {yunhui:outbox status}, and look at the bus"),
        warns=True,
    )
    if name == "notifier":
        dead = connection.exec_driver_sql("SELECT count(*) FROM dead_event WHERE state = 'open'").scalar()
        yield Finding(
            "dead events",
            not dead,
            str(dead),
            message("run {yunhui:events dead list}, and retry or drop each"),
            warns=True,
        )
