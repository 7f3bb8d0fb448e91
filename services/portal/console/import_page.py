"""One table of people: what it would do, row by row; then it is applied, or given up."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api

from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message, pmessage
from services.portal.calls import ask_patiently, person_of, services_of
from services.portal.console.addresses import IMPORT, IMPORTS, of_import, of_member
from services.portal.console.forms import FormRefusal, attempt, for_permitted
from services.portal.console.imports import FORMATS, MEDIA_TYPES, as_file, kind_of
from services.portal.rendering import reader_of, render, sentence
from services.portal.tables import Asked, Column, Listing, Table, TableFilter
from services.portal.texts import ACCOUNT_TYPES, MEMBER_STATUSES, VERDICT_TONES, VERDICTS
from services.portal.times import Reader

SECONDS = 90.0
"""For reading a table and for applying it; the directory reads one at a time."""
CHOICES = {
    "failed": pb.IMPORT_VERDICT_FAILED,
    "added": pb.IMPORT_VERDICT_CREATE,
    "changed": pb.IMPORT_VERDICT_UPDATE,
    "unchanged": pb.IMPORT_VERDICT_UNCHANGED,
}
"""As the address says them."""
FIELDS: Mapping[str, Text] = {
    "account_id": message("Account"),
    "display_name": message("Name"),
    "email": message("E-mail"),
    "phone": message("Phone"),
    "title": message("Title at work"),
    "staff_id": message("Staff number"),
    "departments": message("Departments"),
    "account_type": message("Account type"),
    "status": message("State"),
    "verified": message("Identity"),
}
VALUES: Mapping[str, Mapping[str, Text]] = {
    "account_type": {"FREE": ACCOUNT_TYPES[1], "ADVANCED": ACCOUNT_TYPES[2]},
    "status": {
        "ENABLED": MEMBER_STATUSES[1],
        "NOT_ACTIVATED": MEMBER_STATUSES[2],
        "DISABLED": MEMBER_STATUSES[3],
        "WAITING": MEMBER_STATUSES[4],
    },
    "verified": {"true": message("Verified"), "false": message("Not verified")},
}
PLACE = pmessage("place", "Column {letter}, {field}")
LINE = pmessage("row", "{what}: {said}")


@dataclass(frozen=True, slots=True)
class ImportView:
    """How it stands: `size` is what its file has, where that is known; `refusal` says why it cannot be read."""

    record: pb.Import
    size: int
    refusal: FormRefusal | None = None

    @property
    def arriving(self) -> bool:
        return self.record.state == pb.IMPORT_STATE_UPLOADING and self.record.uploaded_bytes < self.size

    @property
    def checked(self) -> bool:
        return self.record.state == pb.IMPORT_STATE_CHECKED

    @property
    def unread(self) -> bool:
        return self.record.state == pb.IMPORT_STATE_UPLOADING and not self.arriving

    @property
    def changes(self) -> int:
        """How many people it would add or change."""
        return self.record.summary.create_count + self.record.summary.update_count


async def look(request: Request, import_id: str) -> ImportView:
    """As soon as all of its file is there, it is read: that changes nothing but what we know of it."""
    question = api.GetImportRequest(import_id=import_id)
    answer = await ask_patiently(request, services_of(request).imports.GetImport, question)
    view = ImportView(getattr(answer, "import"), size_of(request))
    if not (view.unread and view.size):
        return view
    read = await check(request, import_id)
    return ImportView(view.record, view.size, read) if isinstance(read, FormRefusal) else ImportView(read, view.size)


def size_of(request: Request) -> int:
    given = request.query_params.get("size", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 12 else 0


async def check(request: Request, import_id: str) -> pb.Import | FormRefusal:
    """Raises grpc.aio.AioRpcError."""
    question = api.CheckImportRequest(import_id=import_id)
    answer = await attempt(request, services_of(request).imports.CheckImport, question, {}, SECONDS)
    if isinstance(answer, FormRefusal):
        return answer
    made: pb.Import = getattr(answer, "import")
    return made


async def fetch(request: Request, asked: Asked) -> Listing[pb.ImportRow]:
    question = api.ListImportRowsRequest(
        import_id=asked.filters["id"],
        verdicts=[CHOICES[asked.filters["verdict"]]] if asked.filters["verdict"] else [],
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    answer = await ask_patiently(request, services_of(request).imports.ListImportRows, question)
    return Listing(list(answer.rows), answer.next_page_token)


def letter(column: int) -> str:
    """As spreadsheets call it: A to Z, then AA."""
    return (letter((column - 1) // 26) if column > 26 else "") + chr(ord("A") + (column - 1) % 26)


def fault(each: pb.ImportFault, reader: Reader) -> str:
    language = reader.language
    said = sentence(each.chinese if language == CHINESE else each.english, language)
    field = FIELDS[each.field].to(language) if each.field in FIELDS else each.field
    place = PLACE.to(language, letter=letter(each.column), field=field) if each.column else field
    return LINE.to(language, what=place, said=said) if place else said


def difference(each: pb.ImportDifference, reader: Reader) -> str:
    words = VALUES.get(each.field, {})
    before, after = (
        words[value].to(reader.language) if value in words else value or "–" for value in (each.before, each.after)
    )
    field = FIELDS[each.field].to(reader.language) if each.field in FIELDS else each.field
    return LINE.to(reader.language, what=field, said=f"{before} → {after}")


def told(each: pb.ImportRow, reader: Reader) -> str:
    """A line for each thing that changes, or is wrong."""
    return "\n".join(
        [*(difference(one, reader) for one in each.differences), *(fault(one, reader) for one in each.faults)]
    )


TABLE: Table[pb.ImportRow] = Table(
    IMPORT,
    message("Import"),
    fetch,
    columns=[
        Column(message("Line"), lambda each: each.line, width="narrow"),
        Column(
            message("What happens"),
            lambda each: VERDICTS[each.verdict],
            width="narrow",
            tone=lambda each: VERDICT_TONES[each.verdict],
        ),
        Column(
            message("Account"),
            lambda each: each.account_id,
            link=lambda each: "" if each.verdict == pb.IMPORT_VERDICT_CREATE or each.faults else of_member(each),
            minor=True,
        ),
        Column(message("Name"), lambda each: each.display_name),
        Column(message("Before and after, or why not"), lambda each: lambda reader: told(each, reader), width="lines"),
    ],
    filters=[
        TableFilter("id", message("Import"), look=look, hidden=True),
        TableFilter("size", message("Import"), hidden=True),
        TableFilter("verdict", message("What happens"), {name: VERDICTS[each] for name, each in CHOICES.items()}),
    ],
    permission="members.edit",
    done={"applied": message("The table was applied: this is what was done.")},
    template="console/import.html",
)


def id_of(request: Request) -> str:
    return request.query_params.get("id", "")


async def check_again(request: Request) -> Response:
    read = await check(request, id_of(request))
    if isinstance(read, FormRefusal):
        return await TABLE.answer(request, read.status, refusal=read)
    return RedirectResponse(of_import(read), 303)


async def ask_apply(request: Request) -> Response:
    return await _apply_page(request)


async def _apply_page(request: Request, refusal: FormRefusal | None = None) -> Response:
    view = await look(request, id_of(request))
    if not view.checked:
        return RedirectResponse(of_import(view.record), 303)
    title = message("Apply").to(reader_of(request).language)
    return render(
        request,
        "console/import_apply.html",
        refusal.status if refusal else 200,
        view=view,
        refusal=refusal,
        to=of_import,
        trail=[(view.record.file_name, of_import(view.record)), (title, "")],
    )


async def apply(request: Request) -> Response:
    given = await request.form()
    question = api.ApplyImportRequest(import_id=id_of(request), good_rows_only=bool(given.get("good_rows")))
    answer = await attempt(request, services_of(request).imports.ApplyImport, question, {}, SECONDS)
    if isinstance(answer, FormRefusal):
        return await _apply_page(request, answer)
    return RedirectResponse(of_import(getattr(answer, "import"), done="applied"), 303)


async def cancel(request: Request) -> Response:
    question = api.CancelImportRequest(import_id=id_of(request))
    answer = await attempt(request, services_of(request).imports.CancelImport, question, {})
    if isinstance(answer, FormRefusal):
        return await TABLE.answer(request, answer.status, refusal=answer)
    return RedirectResponse(f"{IMPORTS}?done=cancelled", 303)


async def failed_rows(request: Request) -> Response:
    """A table like the one uploaded, to be mended and imported. What goes wrong at once becomes a page."""
    kind, services = kind_of(request), services_of(request)
    question = api.GetFailedRowsRequest(
        import_id=id_of(request), format=FORMATS[kind], locale=reader_of(request).language
    )
    pieces = services.imports.GetFailedRows(question, metadata=services.metadata(person_of(request)), timeout=SECONDS)
    first = await pieces.read()
    return StreamingResponse(
        _contents(first, pieces), media_type=MEDIA_TYPES[kind], headers=as_file(f"failed-rows.{kind}")
    )


async def _contents(first: Any, pieces: Any) -> AsyncIterator[bytes]:
    piece = first
    while piece is not grpc.aio.EOF:
        yield piece.content
        piece = await pieces.read()


PAGES = [
    (f"{IMPORT}/check", for_permitted("members.edit", check_again), "POST"),
    (f"{IMPORT}/apply", for_permitted("members.edit", ask_apply), "GET"),
    (f"{IMPORT}/apply", for_permitted("members.edit", apply), "POST"),
    (f"{IMPORT}/cancel", for_permitted("members.edit", cancel), "POST"),
    (f"{IMPORT}/failed.{{kind}}", for_permitted("members.edit", failed_rows), "GET"),
]
