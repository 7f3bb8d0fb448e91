"""A page with a table: its columns are said once, for the page and for the file that it is exported as.

    TABLE = Table("/support/deliveries", message("Deliveries"), fetch, columns=[Column(message("To"), to), ...])

What is looked at stands in the address: filters, order, columns and page. A new table is such a module, its name in
`pages.TABLES`, and the Chinese of its words. Rows are asked for page by page, so a table may have any number of them.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.platform.serving import spreadsheets
from services.platform.text.messages import Text
from services.platform.text.times import in_brackets
from services.portal.calls import may
from services.portal.rendering import reader_of, render
from services.portal.times import Reader

SHOWN, EXPORTED = 50, 500
"""Rows asked for at once: for a page, and for a file."""
MORE = {"200": 200, "500": 500}
"""Rows of a page that somebody wants larger, as the address says it."""
LONGEST, LONGEST_TOKEN = 128, 4096
"""Characters of a filter, and of where a page begins."""
ROWS = "rows"
"""The part of the page that follows what is typed."""
PIECE = 64 * 1024
"""Bytes of a file that are sent at once."""

R = TypeVar("R")
Where = Callable[[Mapping[str, str]], bool]
"""Of what belongs to the table only as its filters stand so."""
Value = str | int | Timestamp | Callable[[Reader], str]
"""The last one of what only a reader's language and zone make a text of."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """`value` is text, a number, or a time, which the page shows as people read it and the file as programs do."""

    label: Text
    value: Callable[[R], Value]
    link: Callable[[R], str] | None = None
    """The page that the cell leads to; "" for none."""
    width: Literal["", "narrow", "wide", "lines"] = ""
    name: str = ""
    """In the address, of a column that may be left out."""
    usual: bool = True
    """Shown unless somebody chose others."""
    minor: bool = False
    """Not on a phone."""
    sorts: Literal["", "ascending", "descending"] = ""
    """How its service can order the rows by it."""
    tone: Callable[[R], str] | None = None
    """Shown as a badge, of this colour."""
    where: "Where | None" = None
    """In which tables it says something; in all if there is none."""

    def cell(self, row: R, reader: Reader) -> str:
        value = self.value(row)
        if isinstance(value, Timestamp):
            return reader.moment(value) if value.seconds else ""
        said = str(_in_words(value, reader))
        if self.tone and said:
            return Markup('<span class="badge {}">{}</span>').format(self.tone(row), said)
        address = self.link(row) if self.link else ""
        return Markup('<a href="{}">{}</a>').format(address, said) if address else said

    def exported(self, row: R, reader: Reader) -> spreadsheets.Cell:
        value = self.value(row)
        if isinstance(value, Timestamp):
            return f"{reader.local(value):%Y-%m-%d %H:%M:%S}" if value.seconds else ""
        return _in_words(value, reader)

    def heading(self, first: R | None, reader: Reader) -> str:
        """Times, as the first row tells, say of which zone they are, be it summer or winter."""
        label = self.label.to(reader.language)
        of_time = first is not None and isinstance(self.value(first), Timestamp)
        return in_brackets(label, reader.zone_all_year(), reader.language) if of_time else label


def _in_words(value: str | int | Callable[[Reader], str], reader: Reader) -> spreadsheets.Cell:
    if callable(value):
        return value(reader)
    return value.to(reader.language) if isinstance(value, Text) else value


@dataclass(frozen=True, slots=True)
class Selection(Generic[R]):
    """A box in each row, and buttons that send the ticked ones to `path`: each one's `key` as `pick`, and `act`."""

    path: str
    key: Callable[[R], str]
    name: Callable[[R], str]
    """What the row is called, for whoever does not see the box."""
    acts: Mapping[str, Text]
    permission: str


@dataclass(frozen=True, slots=True)
class Act(Generic[R]):
    """A button in each row: the address that it sends a form to, "" where there is none."""

    label: Text
    address: Callable[[R], str]


@dataclass(frozen=True, slots=True)
class TableFilter:
    """One field above the table: a choice of values with their words, a box to tick if there is one, or free text.

    With a `part` it is that template's, which is told what `look` found out about its value.
    """

    name: str
    label: Text
    choices: Mapping[str, Text] = field(default_factory=dict)
    hint: Text | None = None
    """What free text may be, where that is much."""
    longest: int = LONGEST
    part: str = ""
    look: Callable[[Request, str], Awaitable[Any]] | None = None
    hidden: bool = False
    """Of what the table as a whole is about: nobody chooses it here."""
    where: Where | None = None
    """As of a column."""
    unchosen: Text | None = None
    """What it is when none of its choices is, where that is not all."""

    def read(self, request: Request) -> str:
        """As the address says; what is no choice of ours chooses nothing."""
        given = request.query_params.get(self.name, "").strip()[: self.longest]
        return given if not self.choices or given in self.choices else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a table is wanted."""

    filters: Mapping[str, str]
    page_token: str
    page_size: int
    sort: str = ""
    """Name of the column that orders them; "" for the usual one."""
    chosen: Sequence[str] = ()
    """Names of the columns; none for the usual ones."""
    rows: str = ""
    """As the address says how many are on a page; "" for the usual number."""

    def after(self, page_token: str) -> "Asked":
        return replace(self, page_token=page_token)

    def address(self, path: str, **changed: str) -> str:
        more = {"sort": self.sort, "rows": self.rows}
        values = {name: value for name, value in {**self.filters, **more, **changed}.items() if value}
        query = urlencode([*values.items(), *(("col", each) for each in self.chosen)])
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """One page of rows, as a service answered; no token: the last one."""

    rows: Sequence[R]
    next_page_token: str = ""
    total: int | None = None
    """On all pages, where the service says so."""
    notes: Any = None
    """What a template of its own says of them."""


@dataclass(frozen=True, slots=True)
class Way:
    """A page that a table leads to, for those who are permitted it."""

    label: Text
    path: str
    permission: str


Fetch = Callable[[Request, Asked], Awaitable[Listing[R]]]


@dataclass(frozen=True)
class Table(Generic[R]):
    """The page at `path`, and the files at `path`.csv and `path`.xlsx. For those who are permitted it."""

    path: str
    title: Text
    fetch: Fetch[R]
    columns: Sequence[Column[R]]
    permission: str
    filters: Sequence[TableFilter] = ()
    act: Act[R] | None = None
    most: int = EXPORTED
    """Rows that its service gives at once."""
    icon: str = ""
    """Of its tab; "": other pages lead to it."""
    ways: Sequence[Way] = ()
    done: Mapping[str, Text] = field(default_factory=dict)
    """What has just been done, by what the address says of it."""
    selection: Selection[R] | None = None
    template: str = "table.html"
    """Or one that extends it."""
    row_id: Callable[[R], str] | None = None
    """Of a table whose rows change while it is looked at: what tells them apart."""

    @property
    def optional(self) -> list[Column[R]]:
        return [each for each in self.columns if each.name]

    def choosable(self, asked: Asked) -> list[Column[R]]:
        """Those of the optional ones that say something."""
        return [each for each in self.optional if each.where is None or each.where(asked.filters)]

    def offered(self, asked: Asked) -> list[TableFilter]:
        return [each for each in self.filters if each.where is None or each.where(asked.filters)]

    def shown(self, asked: Asked | None) -> list[Column[R]]:
        """The columns wanted; those without a name always are."""
        chosen = asked.chosen if asked else ()
        listed = [each for each in self.columns if not asked or each.where is None or each.where(asked.filters)]
        return [each for each in listed if not each.name or (each.name in chosen if chosen else each.usual)]

    def sorted(self, asked: Asked | None, column: Column[R]) -> str:
        """As `aria-sort` says it: how the column orders the rows; "" where it cannot."""
        if not column.sorts or not asked:
            return ""
        usual = next(each.name for each in self.columns if each.sorts)
        return column.sorts if column.name == (asked.sort or usual) else "none"

    async def show(self, request: Request) -> Response:
        return await self.answer(request)

    async def answer(self, request: Request, status: int = 200, **more: Any) -> Response:
        """The page; `more` is for a template of its own."""
        if refused := forbidden(request, self.permission):
            return refused
        page_token = request.query_params.get("page", "")[:LONGEST_TOKEN]
        wanted = MORE.get(request.query_params.get("rows", ""), SHOWN)
        asked = self._asked(request, min(wanted, self.most)).after(page_token)
        looked = {each.name: await each.look(request, asked.filters[each.name]) for each in self.filters if each.look}
        listing = await self.fetch(request, asked)
        ticks = self.selection and may(request, self.selection.permission)
        values = {
            "table": self,
            "asked": asked,
            "looked": looked,
            "listing": listing,
            "ways": [each for each in self.ways if may(request, each.permission)],
            "selection": self.selection if ticks else None,
            "sizes": [SHOWN, *MORE.values()],
            "all_ticked": "all" in request.query_params,
            "done": self.done.get(request.query_params.get("done", ""), ""),
        }
        answer = render(request, self.template, status, **values, **more)
        # what is typed: not as the form says it, but without the fields that are empty
        if "hx-request" in request.headers and request.headers.get("hx-target", ROWS) == ROWS:
            answer.headers["hx-push-url"] = asked.address(self.path)
        return answer

    async def export(self, request: Request) -> Response:
        """All rows, as they come. What goes wrong at once becomes a page; later it breaks the download off."""
        if refused := forbidden(request, self.permission):
            return refused
        asked = self._asked(request, min(EXPORTED, self.most))
        lines = _lines(self._rows(request, asked, await self.fetch(request, asked)))
        headers = self._as_file(request, "csv")
        return StreamingResponse(lines, media_type=spreadsheets.MEDIA_TYPE, headers=headers)

    async def export_sheet(self, request: Request) -> Response:
        """The same as XLSX, sent when it is complete."""
        if refused := forbidden(request, self.permission):
            return refused
        asked = self._asked(request, min(EXPORTED, self.most))
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent, and by itself when it is not
        sheet = spreadsheets.Sheet(file)
        async for rows in self._rows(request, asked, await self.fetch(request, asked)):
            await asyncio.to_thread(sheet.add, rows)
        await asyncio.to_thread(sheet.close)
        file.seek(0)
        pieces = iter(lambda: file.read(PIECE), b"")
        headers = self._as_file(request, "xlsx")
        return StreamingResponse(
            pieces, media_type=spreadsheets.SHEET_TYPE, headers=headers, background=BackgroundTask(file.close)
        )

    def _as_file(self, request: Request, kind: str) -> Mapping[str, str]:
        name = f"{self.path.strip('/').replace('/', '-')}-{reader_of(request).today}.{kind}"
        return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}

    async def _rows(
        self, request: Request, asked: Asked, listing: Listing[R]
    ) -> AsyncIterator[list[list[spreadsheets.Cell]]]:
        """The head, and then as many at once as the service gives."""
        reader = reader_of(request)
        first = listing.rows[0] if listing.rows else None
        columns = self.shown(asked)
        yield [[each.heading(first, reader) for each in columns]]
        while True:
            yield [[each.exported(row, reader) for each in columns] for row in listing.rows]
            if not listing.next_page_token:
                return
            listing = await self.fetch(request, asked.after(listing.next_page_token))

    def _asked(self, request: Request, page_size: int) -> Asked:
        given = request.query_params
        filters = {each.name: each.read(request) for each in self.filters}
        sort = given.get("sort", "") if given.get("sort") in {each.name for each in self.columns if each.sorts} else ""
        offered = [each for each in self.optional if each.where is None or each.where(filters)]
        chosen = [each.name for each in self.optional if each.name in given.getlist("col")]
        if chosen == [each.name for each in offered if each.usual]:
            chosen = []
        rows = given.get("rows", "") if given.get("rows") in MORE else ""
        return Asked(filters, "", page_size, sort, chosen, rows)


async def _lines(pages: AsyncIterator[list[list[spreadsheets.Cell]]]) -> AsyncIterator[str]:
    yield spreadsheets.MARK
    async for rows in pages:
        yield "".join(map(spreadsheets.line, rows))


def forbidden(request: Request, permission: str) -> Response | None:
    """What a page says to those it is not for; the services would refuse them anyway."""
    if may(request, permission):
        return None
    return render(request, "trouble.html", 403, problem=None, status=403)
