"""Imports as rows: how far each has come, and what is kept of it until it has ended."""

from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import import_pb2 as pb

from services.directory.models import IMPORT, IMPORT_PART, IMPORT_ROW
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.ids import new_id
from services.platform.serving import errors
from services.platform.text.messages import Text, message

MOST_OPEN = 20
"""That have not ended: each may hold a file."""
UPLOADING, CHECKED, APPLIED, CANCELLED = "UPLOADING", "CHECKED", "APPLIED", "CANCELLED"
FETCHING, FAILED = "FETCHING", "FAILED"
TABLE, PROVIDER = "TABLE", "PROVIDER"

i, r, p = IMPORT.c, IMPORT_ROW.c, IMPORT_PART.c


def load(connection: Connection, import_id: str, *, for_change: bool = False) -> sa.Row[Any]:
    """Raises NOT_FOUND. `for_change`: nobody else changes it until the transaction ends."""
    query = sa.select(IMPORT).where(i.import_id == import_id)
    row = connection.execute(query.with_for_update() if for_change else query).one_or_none()
    if row is None:
        raise errors.not_found("import", message("there is no such import"))
    return row


def begin(connection: Connection, file_name: str, state: str, source: str, by: audit.Caller, now: int) -> sa.Row[Any]:
    """Raises errors.RpcError when too many are open."""
    open_ones = sa.select(sa.func.count()).where(i.state.in_((UPLOADING, FETCHING, CHECKED)))
    if connection.execute(open_ones).scalar_one() >= MOST_OPEN:
        words = message("{most} imports are open: apply them or give them up first", most=MOST_OPEN)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_IMPORTS", words)
    values = {
        "import_id": new_id("imp"),
        "file_name": file_name,
        "state": state,
        "source": source,
        "uploaded_bytes": 0,
        "head": "",
        "actor": by.account_id,
        "create_time": now,
    }
    return connection.execute(sa.insert(IMPORT).values(values).returning(IMPORT)).one()


def add_part(connection: Connection, row: sa.Row[Any], content: bytes, **more: Any) -> None:
    """At the end of its file."""
    part = {"import_id": row.import_id, "start": row.uploaded_bytes, "content": content}
    connection.execute(sa.insert(IMPORT_PART).values(part))
    update(connection, row.import_id, uploaded_bytes=row.uploaded_bytes + len(content), **more)


def end(connection: Connection, import_id: str, state: str, **more: Any) -> None:
    """What is personal goes."""
    clear(connection, import_id)
    update(connection, import_id, state=state, head="", **more)


def open_one(connection: Connection, import_id: str) -> sa.Row[Any]:
    row = load(connection, import_id, for_change=True)
    if row.state in (APPLIED, CANCELLED, FAILED):
        raise wrong_state("IMPORT_ENDED", message("the import has ended: begin another one"))
    return row


def clear(connection: Connection, import_id: str) -> None:
    """What is personal."""
    connection.execute(sa.delete(IMPORT_PART).where(p.import_id == import_id))
    connection.execute(sa.delete(IMPORT_ROW).where(r.import_id == import_id))


def update(connection: Connection, import_id: str, **values: Any) -> None:
    connection.execute(sa.update(IMPORT).where(i.import_id == import_id).values(values))


def wrong_state(reason: str, words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, words)


def to_message(row: sa.Row[Any]) -> pb.Import:
    return pb.Import(
        import_id=row.import_id,
        file_name=row.file_name,
        state=pb.ImportState.Value(f"IMPORT_STATE_{row.state}"),
        uploaded_bytes=row.uploaded_bytes,
        summary=None if row.summary is None else pb.ImportSummary.FromString(row.summary),
        actor=row.actor,
        create_time=to_timestamp(row.create_time),
        check_time=None if row.check_time is None else to_timestamp(row.check_time),
        apply_time=None if row.apply_time is None else to_timestamp(row.apply_time),
        source=pb.ImportSource.Value(f"IMPORT_SOURCE_{row.source}"),
        fetched_count=row.fetched_count,
        fault=None if row.fault is None else pb.ImportFault.FromString(row.fault),
    )
