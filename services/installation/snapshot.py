"""A backup of an embedded installation: a directory with a copy of each database, the keys, and a manifest.

Consumers are copied before producers: docs/decisions/0007-order-of-a-backup.md says why.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite

from services.installation.registry import SERVICE_NAMES
from services.installation.state import State, read_json
from services.platform.data.chain import GENESIS

FORMAT = 1
MANIFEST = "manifest.json"
ORDER = SERVICE_NAMES[::-1]
"""Each before whoever it hears from or refers to."""
KEPT = ("secrets.json", "issuer.json", "clock.json")
"""Files besides databases; the rest of a state directory is made anew. clock.json only where time was moved."""
BUSY_SECONDS = 30.0
CHUNK = 1 << 20


class SnapshotError(Exception):
    """Why nothing was done; `reason` is one of the words below, `what` the file or figure that it is about."""

    def __init__(self, reason: str, what: object) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason
        self.what = what


NO_INSTALLATION, EXISTS, NOT_EMPTY = "no installation", "exists", "not empty"
NO_BACKUP, NEWER, DAMAGED, DISK = "no backup", "newer", "damaged", "disk"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files` by name (bytes, SHA-256); `revisions` and `audit_heads` ("number:hash") by program. Times: ISO 8601."""

    format: int
    version: str
    begin_time: str
    end_time: str
    files: dict[str, tuple[int, str]]
    revisions: dict[str, str]
    audit_heads: dict[str, str]


def take(state: State, target: Path, told: Callable[[str], None] = lambda _: None) -> Manifest:
    """Writes a backup, whole or not at all; the installation may run. `told` hears each name first.

    Raises SnapshotError.
    """
    missing = [name for name in ORDER if not state.database(name).exists()]
    if not state.exists() or missing:
        raise SnapshotError(NO_INSTALLATION, state.root)
    if target.exists():
        raise SnapshotError(EXISTS, target)
    begin = now()
    with appearing(target) as folder:
        for name in ORDER:
            told(name)
            copy_database(state.database(name), folder / f"{name}.db")
        for name in KEPT:
            if (state.root / name).exists():
                shutil.copyfile(state.root / name, folder / name)
        manifest = describe(folder, begin)
        (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
    return manifest


def restore(source: Path, state: State, told: Callable[[str], None] = lambda _: None) -> Manifest:
    """Makes a state directory out of a backup, whole or not at all; every event will be published again.

    Raises SnapshotError.
    """
    if state.root.exists() and (not state.root.is_dir() or any(state.root.iterdir())):
        raise SnapshotError(NOT_EMPTY, state.root)
    manifest = read_manifest(source)
    for name in manifest.files:
        told(name)
        check_file(source, name, manifest)
    with appearing(state.root) as folder:
        for name in manifest.files:
            told(name)
            shutil.copyfile(source / name, folder / name)
        for program in ORDER:
            begin_anew(folder / f"{program}.db")
    return manifest


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A directory to be filled, which takes its name when all is on the disk. Only its owner may enter it."""
    folder = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        yield folder
        for file in folder.iterdir():
            file.chmod(0o600)
            synchronize(file)
        synchronize(folder)
        folder.rename(target)  # in place of an empty one too
        synchronize(target.parent)
    except (OSError, sqlite.Error) as error:
        raise SnapshotError(DISK, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_database(source: Path, target: Path) -> None:
    """As it is at one moment; who writes meanwhile does not wait."""
    with closing(connect(source)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    with closing(connect(target)) as copy:
        found = copy.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise SnapshotError(DAMAGED, f"{source.name}: {found}")


def connect(file: Path) -> Any:
    connection = sqlite.connect(str(file), timeout=BUSY_SECONDS)
    connection.isolation_level = None  # VACUUM wants no transaction around it
    return connection


def begin_anew(database: Path) -> None:
    """The streams are gone: all events wait to be published again, in order, and nobody owns the outbox."""
    with closing(connect(database)) as connection:
        connection.execute("UPDATE outbox SET publish_time = NULL")
        connection.execute("UPDATE outbox_owner SET name = '', lease_end = 0")


def describe(folder: Path, begin: str) -> Manifest:
    from services.platform.data import migrations  # SQLAlchemy is 17 MB that `up`, which stays, should not hold

    revisions, heads = {}, {}
    for program in ORDER:
        with closing(connect(folder / f"{program}.db")) as copy:
            revisions[program] = str(copy.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()[0])  # noqa: S608 - constant
            head = copy.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        heads[program] = "{}:{}".format(*(head or (0, GENESIS)))
    files = {file.name: (file.stat().st_size, digest(file)) for file in sorted(folder.iterdir())}
    return Manifest(FORMAT, version("yunhui"), begin, now(), files, revisions, heads)


def read_manifest(source: Path) -> Manifest:
    """Raises SnapshotError when it is none, or of a newer program."""
    from services.platform.data import migrations  # as above

    content = read_json(source / MANIFEST)
    try:
        if content["format"] > FORMAT:
            raise SnapshotError(NEWER, content.get("version", ""))
        manifest = Manifest(**content)
        revisions = {program: manifest.revisions[program] for program in ORDER}
        complete = {f"{program}.db" for program in ORDER} | {"secrets.json", "issuer.json"}
        if not complete <= manifest.files.keys() <= complete | set(KEPT):
            raise SnapshotError(NO_BACKUP, source)
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(NO_BACKUP, source) from error
    for program, revision in revisions.items():
        if revision not in migrations.read_revisions(f"services.{program}"):
            raise SnapshotError(NEWER, manifest.version)
    return manifest


def check_file(source: Path, name: str, manifest: Manifest) -> None:
    size, expected = manifest.files[name]
    try:
        whole = (source / name).stat().st_size == size and digest(source / name) == expected
    except OSError:
        whole = False
    if not whole:
        raise SnapshotError(DAMAGED, name)


def digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(CHUNK):
            found.update(part)
    return found.hexdigest()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
