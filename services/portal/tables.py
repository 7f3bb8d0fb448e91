"""A page with a table: its columns are said once, for the page and for the file that it is exported as.

    TABLE = Table("/support/deliveries", message("Deliveries"), fetch, columns=[Column(message("To"), to), ...])

What is looked at stands in the address: filters, order, columns and page. A new table is such a module, its name in
`pages.TABLES`, and the Chinese of its words. Rows are asked for page by page, so a table may have any number of them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.platform.serving import spreadsheets
from services.platform.text.messages import Text
from services.platform.text.times import in_brackets
from services.portal.calls import SUPPORT, has_role, person_of
from services.portal.rendering import reader_of, render
from services.portal.times import Reader

SHOWN, EXPORTED = 50, 500
"""Rows asked for at once: for a page, and for a file."""
LONGEST, LONGEST_TOKEN = 128, 4096
"""Characters of a filter, and of where a page begins."""

R = TypeVar("R")
Value = str | int | Timestamp


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """`value` is text, a number, or a time, which the page shows as people read it and the file as programs do."""

    label: Text
    value: Callable[[R], Value]
    link: Callable[[R], str] | None = None
    """The page that the cell leads to; "" for none."""
    width: Literal["", "narrow", "wide"] = ""
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

    def cell(self, row: R, reader: Reader) -> str:
        value = self.value(row)
        if isinstance(value, Timestamp):
            return reader.moment(value) if value.seconds else ""
        said = value.to(reader.language) if isinstance(value, Text) else str(value)
        if self.tone and said:
            return Markup('<span class="badge {}">{}</span>').format(self.tone(row), said)
        address = self.link(row) if self.link else ""
        return Markup('<a href="{}">{}</a>').format(address, said) if address else said

    def exported(self, row: R, reader: Reader) -> spreadsheets.Cell:
        value = self.value(row)
        if isinstance(value, Timestamp):
            return f"{reader.local(value):%Y-%m-%d %H:%M:%S}" if value.seconds else ""
        return value.to(reader.language) if isinstance(value, Text) else value

    def heading(self, first: R | None, reader: Reader) -> str:
        """Times, as the first row tells, say of which zone they are, be it summer or winter."""
        label = self.label.to(reader.language)
        of_time = first is not None and isinstance(self.value(first), Timestamp)
        return in_brackets(label, reader.zone_all_year(), reader.language) if of_time else label


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

    def after(self, page_token: str) -> "Asked":
        return replace(self, page_token=page_token)

    def address(self, path: str, **changed: str) -> str:
        values = {name: value for name, value in {**self.filters, "sort": self.sort, **changed}.items() if value}
        query = urlencode([*values.items(), *(("col", each) for each in self.chosen)])
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """One page of rows, as a service answered; no token: the last one."""

    rows: Sequence[R]
    next_page_token: str = ""
    total: int | None = None
    """On all pages, where the service says so."""


@dataclass(frozen=True, slots=True)
class Way:
    """A page that a table leads to, for `roles`."""

    label: Text
    path: str
    roles: frozenset[str]


Fetch = Callable[[Request, Asked], Awaitable[Listing[R]]]


@dataclass(frozen=True)
class Table(Generic[R]):
    """The page at `path`, and the file at `path`.csv. For `roles`, everybody when there are none."""

    path: str
    title: Text
    fetch: Fetch[R]
    columns: Sequence[Column[R]]
    filters: Sequence[TableFilter] = ()
    act: Act[R] | None = None
    roles: frozenset[str] = SUPPORT
    most: int = EXPORTED
    """Rows that its service gives at once."""
    icon: str = ""
    """Of its tab; "": other pages lead to it."""
    ways: Sequence[Way] = ()
    done: Mapping[str, Text] = field(default_factory=dict)
    """What has just been done, by what the address says of it."""

    @property
    def optional(self) -> list[Column[R]]:
        return [each for each in self.columns if each.name]

    def shown(self, asked: Asked | None) -> list[Column[R]]:
        """The columns wanted; those without a name always are."""
        chosen = asked.chosen if asked else ()
        return [each for each in self.columns if not each.name or (each.name in chosen if chosen else each.usual)]

    def sorted(self, asked: Asked | None, column: Column[R]) -> str:
        """As `aria-sort` says it: how the column orders the rows; "" where it cannot."""
        if not column.sorts or not asked:
            return ""
        usual = next(each.name for each in self.columns if each.sorts)
        return column.sorts if column.name == (asked.sort or usual) else "none"

    async def show(self, request: Request) -> Response:
        if refused := forbidden(request, self.roles):
            return refused
        page_token = request.query_params.get("page", "")[:LONGEST_TOKEN]
        asked = self._asked(request, min(SHOWN, self.most)).after(page_token)
        looked = {each.name: await each.look(request, asked.filters[each.name]) for each in self.filters if each.look}
        listing = await self.fetch(request, asked)
        ways = [each for each in self.ways if has_role(person_of(request), each.roles)]
        done = self.done.get(request.query_params.get("done", ""), "")
        values = {"table": self, "asked": asked, "looked": looked, "listing": listing, "ways": ways, "done": done}
        answer = render(request, "table.html", **values)
        if "hx-request" in request.headers:  # not as the form says it: without the fields that are empty
            answer.headers["hx-push-url"] = asked.address(self.path)
        return answer

    async def export(self, request: Request) -> Response:
        """All rows, as they come. What goes wrong at once becomes a page; later it breaks the download off."""
        if refused := forbidden(request, self.roles):
            return refused
        asked = self._asked(request, min(EXPORTED, self.most))
        lines = self._lines(request, asked, await self.fetch(request, asked))
        name = f"{self.path.strip('/').replace('/', '-')}-{reader_of(request).today}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return StreamingResponse(lines, media_type=spreadsheets.MEDIA_TYPE, headers=headers)

    async def _lines(self, request: Request, asked: Asked, listing: Listing[R]) -> AsyncIterator[str]:
        reader = reader_of(request)
        first = listing.rows[0] if listing.rows else None
        columns = self.shown(asked)
        yield spreadsheets.MARK + spreadsheets.line([each.heading(first, reader) for each in columns])
        while True:
            for row in listing.rows:
                yield spreadsheets.line([each.exported(row, reader) for each in columns])
            if not listing.next_page_token:
                return
            listing = await self.fetch(request, asked.after(listing.next_page_token))

    def _asked(self, request: Request, page_size: int) -> Asked:
        given = request.query_params
        sort = given.get("sort", "") if given.get("sort") in {each.name for each in self.columns if each.sorts} else ""
        chosen = [each.name for each in self.optional if each.name in given.getlist("col")]
        if chosen == [each.name for each in self.optional if each.usual]:
            chosen = []
        return Asked({each.name: each.read(request) for each in self.filters}, "", page_size, sort, chosen)


def forbidden(request: Request, roles: frozenset[str]) -> Response | None:
    """What a page says to those it is not for; the services would refuse them anyway."""
    if not roles or has_role(person_of(request), roles):
        return None
    return render(request, "trouble.html", 403, problem=None, status=403)
