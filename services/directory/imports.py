"""People on their way into the directory: uploaded or fetched in parts, checked, applied in one change or given up."""

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

from services.directory import (
    fields,
    import_changes,
    import_child,
    import_columns,
    import_matching,
    import_plan,
    import_store,
    import_tables,
)
from services.directory.changes import Changes, Outcome
from services.directory.import_store import (
    APPLIED,
    CANCELLED,
    CHECKED,
    FETCHING,
    TABLE,
    UPLOADING,
    clear,
    load,
    open_one,
    to_message,
    update,
    wrong_state,
)
from services.directory.models import IMPORT, IMPORT_PART, IMPORT_ROW
from services.directory.scopes import Actor
from services.platform.clock import DAY, HOUR, SECOND
from services.platform.data import audit
from services.platform.data.database import Insert
from services.platform.serving import errors, pages
from services.platform.tasks import run_forever
from services.platform.text.languages import CHINESE, LANGUAGES
from services.platform.text.messages import message

MOST_IN_PART = 200_000
"""Bytes."""
MOST_IN_NAME = 200
MOST_LISTED = 100
KEPT = 7 * DAY
FORGET_SECONDS = HOUR / SECOND

_ROWS = Insert(IMPORT_ROW)
i, r, p = IMPORT.c, IMPORT_ROW.c, IMPORT_PART.c


@dataclass(frozen=True, slots=True)
class Imports:
    """One file is read at a time: `_reading` bounds what that needs of memory and processors."""

    changes: Changes
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def create(self, request: api.CreateImportRequest, by: audit.Caller) -> pb.Import:
        """Raises errors.RpcError; then nothing was changed, here and below."""
        name, now = fields.required_text("file_name", request.file_name, MOST_IN_NAME), self.changes.clock.now()
        return await self.changes.database.write(
            lambda connection: to_message(import_store.begin(connection, name, UPLOADING, TABLE, by, now))
        )

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
            row = load(connection, import_id, for_change=True)
            if (row.state, row.source) != (UPLOADING, TABLE):
                raise wrong_state("NOT_UPLOADING", message("the file was read already: begin another import"))
            same = (p.import_id == import_id) & (p.start == request.offset)
            if end == row.uploaded_bytes and connection.scalar(sa.select(p.content).where(same)) == content:
                return end
            if request.offset != row.uploaded_bytes:
                words = message("{number:,} bytes are there: go on behind them", number=row.uploaded_bytes)
                figures = {"uploaded_bytes": str(row.uploaded_bytes)}
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_OFFSET", words, figures=figures)
            import_store.add_part(connection, row, content)
            return end

        return await self.changes.database.write(work)

    async def check(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)
        read = await self._read(import_id)

        def work(connection: Connection) -> pb.Import:
            row = open_one(connection, import_id)
            if row.state == FETCHING:
                raise wrong_state("IMPORT_FETCHING", message("the provider's people are being fetched: wait for them"))
            head, given = read or _stored(connection, row)
            now = self.changes.clock.now()
            plan = _plan(connection, row, head, given, now)
            # behind what was given stand those who are gone: rows of the plan, but of no table
            texts = [*given, *[""] * (len(plan.rows) - len(given))]
            rows = [_to_row(import_id, each, text) for each, text in zip(plan.rows, texts, strict=True)]
            clear(connection, import_id)
            _ROWS.execute(connection, rows)
            summary = plan.summary().SerializeToString(deterministic=True)
            update(connection, import_id, state=CHECKED, head=json.dumps(head), summary=summary, check_time=now)
            return to_message(load(connection, import_id))

        return await self.changes.database.write(work)

    async def _read(self, import_id: str) -> tuple[list[str], list[str]] | None:
        """The head and the rows of the file, as import_child.read has them; None when they were stored before."""

        def work(connection: Connection) -> list[bytes] | None:
            if load(connection, import_id).state != UPLOADING:
                return None
            parts = sa.select(p.content).where(p.import_id == import_id).order_by(p.start)
            return [*connection.scalars(parts)]

        async with self._reading:
            parts = await self.changes.database.read(work)
            return None if parts is None else await import_child.read(b"".join(parts))

    async def apply(self, request: api.ApplyImportRequest, by: Actor) -> pb.Import:
        import_id = fields.identifier("import_id", request.import_id)

        def work(connection: Connection, now: int) -> Outcome[pb.Import]:
            row = load(connection, import_id, for_change=True)
            if row.state == APPLIED:
                return Outcome(to_message(row), [], [])
            _check_checked(row)
            plan = _plan(connection, row, *_stored(connection, row), now)
            _check_same(connection, row, plan)
            summary = plan.summary()
            if summary.failed_count and not request.good_rows_only:
                words = message(
                    "{number:,} rows cannot be taken: mend them, or apply the others only", number=summary.failed_count
                )
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ROWS_FAILED", words)
            events = import_changes.carry_out(connection, plan, by, now)
            import_store.end(connection, import_id, APPLIED, apply_time=now)
            counts = {each.name: getattr(summary, each.name) for each in summary.DESCRIPTOR.fields}
            entry = audit.AuditEntry(by, "import", import_id, detail=counts)
            return Outcome(to_message(load(connection, import_id)), events, [entry])

        return await self.changes.make(work)

    async def cancel(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)

        def work(connection: Connection) -> pb.Import:
            if load(connection, import_id, for_change=True).state != CANCELLED:
                open_one(connection, import_id)
                import_store.end(connection, import_id, CANCELLED)
            return to_message(load(connection, import_id))

        return await self.changes.database.write(work)

    async def get(self, import_id: str) -> pb.Import:
        fields.identifier("import_id", import_id)
        return await self.changes.database.read(lambda connection: to_message(load(connection, import_id)))

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
            load(connection, import_id)
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
            row = load(connection, import_id)
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
                clear(connection, import_id)
            connection.execute(sa.delete(IMPORT).where(old))

        await self.changes.database.write(work)


def _check_checked(row: sa.Row[Any]) -> None:
    if row.state in (UPLOADING, FETCHING):
        raise wrong_state("IMPORT_NOT_CHECKED", message("the import was not checked yet: check it first"))
    if row.state != CHECKED:
        raise wrong_state("IMPORT_ENDED", message("the import has ended: begin another one"))


def _check_same(connection: Connection, row: sa.Row[Any], plan: import_plan.ImportPlan) -> None:
    """That the plan is what was shown: in every row, and in the departments to be made."""
    shown = connection.scalars(_rows_of(row.import_id, r.told)).all()
    same = len(shown) == len(plan.rows) and all(
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
    return json.loads(row.head), [*connection.scalars(_rows_of(row.import_id, r.given).where(r.given != ""))]


def _plan(
    connection: Connection, row: sa.Row[Any], head: Sequence[str], given: Sequence[str], now: int
) -> import_plan.ImportPlan:
    rows = [import_columns.Given(**json.loads(each)) for each in given]
    if row.source == TABLE:
        return import_plan.make(connection, head, rows, now)
    places = {column.field: place for place, column in import_columns.read_head(head).items()}
    return import_plan.make(connection, head, rows, now, import_matching.match(connection, rows, places))


def _to_row(import_id: str, row: import_plan.PlannedRow, given: str) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "line": row.given.line,
        "given": given,
        "verdict": row.verdict,
        "told": row.to_message().SerializeToString(deterministic=True),
    }


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
