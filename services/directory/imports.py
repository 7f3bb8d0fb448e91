"""Tables of people on their way into the directory: uploaded in parts, checked, applied in one change or given up."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api

from services.directory import fields, import_changes, import_child, import_columns, import_plan, import_tables
from services.directory.changes import Changes, Outcome
from services.directory.models import IMPORT, IMPORT_PART, IMPORT_ROW
from services.platform.clock import DAY, HOUR, SECOND, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Insert
from services.platform.ids import new_id
from services.platform.serving import errors, pages
from services.platform.tasks import run_forever
from services.platform.text.languages import CHINESE, LANGUAGES
from services.platform.text.messages import Text, message

MOST_IN_PART = 200_000
"""Bytes."""
MOST_IN_NAME = 200
MOST_LISTED = 100
MOST_OPEN = 20
"""That have not ended: each may hold a file."""
KEPT = 7 * DAY
FORGET_SECONDS = HOUR / SECOND
UPLOADING, CHECKED, APPLIED, CANCELLED = "UPLOADING", "CHECKED", "APPLIED", "CANCELLED"

_ROWS = Insert(IMPORT_ROW)
i, r, p = IMPORT.c, IMPORT_ROW.c, IMPORT_PART.c


@dataclass(frozen=True, slots=True)
class Imports:
    """One file is read at a time: `_reading` bounds what that needs of memory and processors."""

    changes: Changes
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def create(self, request: api.CreateImportRequest, by: audit.Caller) -> pb.Import:
        """Raises errors.RpcError; then nothing was changed, here and below."""
        import_id = new_id("imp")
        values = {
            "import_id": import_id,
            "file_name": fields.required_text("file_name", request.file_name, MOST_IN_NAME),
            "state": UPLOADING,
            "uploaded_bytes": 0,
            "head": "",
            "actor": by.account_id,
            "create_time": self.changes.clock.now(),
        }

        def work(connection: Connection) -> pb.Import:
            open_ones = sa.select(sa.func.count()).where(i.state.in_((UPLOADING, CHECKED)))
            if connection.execute(open_ones).scalar_one() >= MOST_OPEN:
                words = message("{most} imports are open: apply them or give them up first", most=MOST_OPEN)
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_IMPORTS", words)
            connection.execute(sa.insert(IMPORT).values(values))
            return to_message(_load(connection, import_id))

        return await self.changes.database.write(work)

    async def upload(self, request: api.UploadImportPartRequest) -> int:
        """How many bytes there are now."""
        import_id, content = fields.identifier("import_id", request.import_id), request.content
        if not 0 < len(content) <= MOST_IN_PART:
            raise errors.invalid("content", message("must be 1 to {most:,} bytes", most=MOST_IN_PART))
        end = request.offset + len(content)
        if end > import_tables.MOST_BYTES:
            most = import_tables.MOST_BYTES // 1_000_000
            raise errors.invalid("content", message("must be at most {most} MB", most=most))

        def work(connection: Connection) -> int:
            row = _load(connection, import_id, for_change=True)
            if row.state != UPLOADING:
                raise _wrong_state("NOT_UPLOADING", message("the file was read already: begin another import"))
            same = (p.import_id == import_id) & (p.start == request.offset)
            if end == row.uploaded_bytes and connection.scalar(sa.select(p.content).where(same)) == content:
                return end
            if request.offset != row.uploaded_bytes:
                words = message("{number:,} bytes are there: go on behind them", number=row.uploaded_bytes)
                figures = {"uploaded_bytes": str(row.uploaded_bytes)}
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_OFFSET", words, figures=figures)
            part = {"import_id": import_id, "start": request.offset, "content": content}
            connection.execute(sa.insert(IMPORT_PART).values(part))
            _update(connection, import_id, uploaded_bytes=end)
            return end

        return await self.changes.database.write(work)

    async def check(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)
        read = await self._read(import_id)

        def work(connection: Connection) -> pb.Import:
            row = _open(connection, import_id)
            head, given = read or _stored(connection, row)
            now = self.changes.clock.now()
            plan = import_plan.make(connection, head, given, now)
            rows = [_to_row(import_id, each, text) for each, text in zip(plan.rows, given, strict=True)]
            _clear(connection, import_id)
            _ROWS.execute(connection, rows)
            summary = plan.summary().SerializeToString(deterministic=True)
            _update(connection, import_id, state=CHECKED, head=json.dumps(head), summary=summary, check_time=now)
            return to_message(_load(connection, import_id))

        return await self.changes.database.write(work)

    async def _read(self, import_id: str) -> tuple[list[str], list[str]] | None:
        """The head and the rows of the file, as import_child.read has them; None when they were stored before."""

        def work(connection: Connection) -> list[bytes] | None:
            if _load(connection, import_id).state != UPLOADING:
                return None
            parts = sa.select(p.content).where(p.import_id == import_id).order_by(p.start)
            return [*connection.scalars(parts)]

        async with self._reading:
            parts = await self.changes.database.read(work)
            return None if parts is None else await import_child.read(b"".join(parts))

    async def apply(self, request: api.ApplyImportRequest, by: audit.Caller) -> pb.Import:
        import_id = fields.identifier("import_id", request.import_id)

        def work(connection: Connection, now: int) -> Outcome[pb.Import]:
            row = _load(connection, import_id, for_change=True)
            if row.state == APPLIED:
                return Outcome(to_message(row), [], [])
            _check_checked(row)
            plan = import_plan.make(connection, *_stored(connection, row), now)
            _check_same(connection, row, plan)
            summary = plan.summary()
            if summary.failed_count and not request.good_rows_only:
                words = message(
                    "{number:,} rows cannot be taken: mend them, or apply the others only", number=summary.failed_count
                )
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ROWS_FAILED", words)
            events = import_changes.carry_out(connection, plan, by, now)
            _clear(connection, import_id)
            _update(connection, import_id, state=APPLIED, head="", apply_time=now)
            counts = {each.name: getattr(summary, each.name) for each in summary.DESCRIPTOR.fields}
            entry = audit.AuditEntry(by, "import", import_id, detail=counts)
            return Outcome(to_message(_load(connection, import_id)), events, [entry])

        return await self.changes.make(work)

    async def cancel(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)

        def work(connection: Connection) -> pb.Import:
            if _load(connection, import_id, for_change=True).state != CANCELLED:
                _open(connection, import_id)
                _clear(connection, import_id)
                _update(connection, import_id, state=CANCELLED, head="")
            return to_message(_load(connection, import_id))

        return await self.changes.database.write(work)

    async def get(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)
        return await self.changes.database.read(lambda connection: to_message(_load(connection, import_id)))

    async def list_(self) -> list[pb.Import]:
        query = sa.select(IMPORT).order_by(i.create_time.desc(), i.import_id.desc()).limit(MOST_LISTED)
        return await self.changes.database.read(
            lambda connection: [to_message(row) for row in connection.execute(query)]
        )

    async def list_rows(self, request: api.ListImportRowsRequest) -> api.ListImportRowsResponse:
        import_id = fields.identifier("import_id", request.import_id)
        size, after = pages.size(request.page_size), pages.from_number(request.page_token)
        if any(each not in pb.ImportVerdict.values()[1:] for each in request.verdicts):
            raise errors.invalid("verdicts", message("has one that there is not"))
        wanted = [pb.ImportVerdict.Name(each).removeprefix("IMPORT_VERDICT_") for each in request.verdicts]
        query = _rows_of(import_id, r.line, r.told).where(r.line > min(after, import_tables.MOST_BYTES))
        query = (query.where(r.verdict.in_(wanted)) if wanted else query).limit(size + 1)

        def work(connection: Connection) -> api.ListImportRowsResponse:
            _load(connection, import_id)
            rows = connection.execute(query).all()
            return api.ListImportRowsResponse(
                rows=[pb.ImportRow.FromString(row.told) for row in rows[:size]],
                next_page_token=str(rows[size - 1].line) if len(rows) > size else "",
            )

        return await self.changes.database.read(work)

    async def failed_rows(self, request: api.GetFailedRowsRequest) -> AsyncIterator[bytes]:
        """In pieces of at most MOST_IN_PART bytes."""
        import_id, language = fields.identifier("import_id", request.import_id), _language(request.locale)
        as_csv = _is_csv(request.format)

        def work(connection: Connection) -> tuple[list[str], Sequence[sa.Row[Any]]]:
            row = _load(connection, import_id)
            _check_checked(row)
            query = _rows_of(import_id, r.given, r.told).where(r.verdict == import_plan.FAILED)
            return json.loads(row.head), connection.execute(query).all()

        head, rows = await self.changes.database.read(work)
        with tempfile.TemporaryFile() as file:
            table = _failed_table(head, rows, language)
            await asyncio.to_thread(_write, table, as_csv, file)
            file.seek(0)
            while piece := file.read(MOST_IN_PART):
                yield piece

    async def template(self, request: api.GetImportTemplateRequest) -> api.GetImportTemplateResponse:
        table, as_csv = import_columns.template(_language(request.locale)), _is_csv(request.format)
        with tempfile.TemporaryFile() as file:
            await asyncio.to_thread(_write, table, as_csv, file)
            file.seek(0)
            name = f"members.{'csv' if as_csv else 'xlsx'}"
            return api.GetImportTemplateResponse(content=file.read(), file_name=name)

    async def forget_forever(self) -> None:
        """What was begun long ago, with all that was uploaded."""
        await run_forever(self.forget, "old imports", FORGET_SECONDS, pause=FORGET_SECONDS)

    async def forget(self) -> None:
        old = i.create_time < self.changes.clock.now() - KEPT

        def work(connection: Connection) -> None:
            for import_id in connection.scalars(sa.select(i.import_id).where(old)).all():
                _clear(connection, import_id)
            connection.execute(sa.delete(IMPORT).where(old))

        await self.changes.database.write(work)


def _load(connection: Connection, import_id: str, *, for_change: bool = False) -> sa.Row[Any]:
    """Raises NOT_FOUND. `for_change`: nobody else changes it until the transaction ends."""
    query = sa.select(IMPORT).where(i.import_id == import_id)
    row = connection.execute(query.with_for_update() if for_change else query).one_or_none()
    if row is None:
        raise errors.not_found("import", message("there is no such import"))
    return row


def _open(connection: Connection, import_id: str) -> sa.Row[Any]:
    row = _load(connection, import_id, for_change=True)
    if row.state in (APPLIED, CANCELLED):
        raise _wrong_state("IMPORT_ENDED", message("the import has ended: begin another one"))
    return row


def _check_checked(row: sa.Row[Any]) -> None:
    if row.state == UPLOADING:
        raise _wrong_state("IMPORT_NOT_CHECKED", message("the import was not checked yet: check it first"))
    if row.state != CHECKED:
        raise _wrong_state("IMPORT_ENDED", message("the import has ended: begin another one"))


def _wrong_state(reason: str, words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, words)


def _check_same(connection: Connection, row: sa.Row[Any], plan: import_plan.ImportPlan) -> None:
    """That the plan is what was shown: in every row, and in the departments to be made."""
    shown = connection.scalars(_rows_of(row.import_id, r.told))
    same = all(
        told == each.to_message().SerializeToString(deterministic=True)
        for told, each in zip(shown, plan.rows, strict=True)
    )
    if not same or row.summary != plan.summary().SerializeToString(deterministic=True):
        words = message("the directory has changed since the check: check again")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "IMPORT_OUTDATED", words)


def _rows_of(import_id: str, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(*columns).where(r.import_id == import_id).order_by(r.line)


def _stored(connection: Connection, row: sa.Row[Any]) -> tuple[list[str], list[str]]:
    """As import_child.read has read them."""
    return json.loads(row.head), [*connection.scalars(_rows_of(row.import_id, r.given))]


def _to_row(import_id: str, row: import_plan.PlannedRow, given: str) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "line": row.given["line"],
        "given": given,
        "verdict": row.verdict,
        "told": row.to_message().SerializeToString(deterministic=True),
    }


def _clear(connection: Connection, import_id: str) -> None:
    """What is personal."""
    connection.execute(sa.delete(IMPORT_PART).where(p.import_id == import_id))
    connection.execute(sa.delete(IMPORT_ROW).where(r.import_id == import_id))


def _update(connection: Connection, import_id: str, **values: Any) -> None:
    connection.execute(sa.update(IMPORT).where(i.import_id == import_id).values(values))


def _language(locale: str) -> str:
    if locale and locale not in LANGUAGES:
        raise errors.invalid("locale", message("must be one of: {choices}", choices=LANGUAGES))
    return locale or CHINESE


def _is_csv(table_format: api.TableFormat.ValueType) -> bool:
    if table_format not in api.TableFormat.values():
        raise errors.invalid("format", message("is not a kind of table"))
    return table_format == api.TABLE_FORMAT_CSV


def _failed_table(head: Sequence[str], rows: Sequence[sa.Row[Any]], language: str) -> Iterator[list[str]]:
    """As it was uploaded, and behind it what is wrong; a column of reasons that was there already goes."""
    places = [place for place, cell in enumerate(head) if not import_columns.is_reason(cell)]
    yield [head[place] for place in places] + [import_columns.REASON.to(language)]
    for row in rows:
        cells = json.loads(row.given)["cells"]
        reasons = import_plan.reasons(pb.ImportRow.FromString(row.told), language)
        yield [cells[place] if place < len(cells) else "" for place in places] + [reasons]


def _write(table: Iterable[Sequence[str]], as_csv: bool, file: BinaryIO) -> None:
    if as_csv:
        file.writelines(import_tables.write_csv(table))
    else:
        import_tables.write_xlsx(table, file)


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
    )
