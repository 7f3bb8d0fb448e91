"""The search for everything that the person may open: pages, people, departments, own reservations."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import Response
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.booking.v1 import reservation_pb2
from yunhui.directory.v1 import address_book_service_pb2 as address_book
from yunhui.directory.v1 import department_pb2
from yunhui.directory.v1 import department_service_pb2 as departments
from yunhui.directory.v1 import member_service_pb2 as members

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, person_of, read, services_of
from services.portal.colleagues import PERMISSION, to_card
from services.portal.console.addresses import of_member
from services.portal.console.departments import address
from services.portal.navigation import areas_for
from services.portal.rendering import reader_of, render
from services.portal.times import Reader

PATH = "/search"
NOTHING_FOUND = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
"""Of a query with signs that nobody is called by; of an address book that is closed."""
FOUND = 8
"""Of each kind."""
LONGEST = 100
LOOKED_AT = 200
"""Own reservations, the latest: the service does not search in them."""


@dataclass(frozen=True, slots=True)
class Hit:
    label: str
    address: str
    detail: str = ""
    icon: str = "more"


@dataclass(frozen=True, slots=True)
class HitGroup:
    """What was found of one kind; `away`: its service did not answer."""

    name: str
    title: Text
    hits: Sequence[Hit] = ()
    away: bool = False


async def show(request: Request) -> Response:
    """A page, or a part of one for whoever types into the dialog."""
    query = " ".join(request.query_params.get("q", "").split())[:LONGEST]
    groups = [each for each in await search(request, query) if each.hits or each.away]
    template = "_hits.html" if "hx-request" in request.headers else "search.html"
    return render(request, template, query=query, groups=groups)


async def search(request: Request, query: str) -> list[HitGroup]:
    found = HitGroup("pages", message("Pages"), pages(request, query))
    if not query:
        return [found]
    kinds = [("reservations", message("My reservations"), own_reservations)]
    if may(request, "members.view"):
        kinds += [("people", message("Members"), people), ("departments", message("Departments"), in_tree)]
    elif may(request, PERMISSION):
        kinds.append(("people", message("Colleagues"), in_address_book))
    return [found, *await asyncio.gather(*(_group(request, query, *each) for each in kinds))]


async def _group(
    request: Request, query: str, name: str, title: Text, find: Callable[[Request, str], Awaitable[list[Hit]]]
) -> HitGroup:
    """Without one service the others still say what they know. Raises grpc.aio.AioRpcError for what else is wrong."""
    try:
        return HitGroup(name, title, await find(request, query))
    except grpc.aio.AioRpcError as error:
        if error.code() in NOTHING_FOUND:
            return HitGroup(name, title)
        if not read(error).away:
            raise
        return HitGroup(name, title, away=True)


def pages(request: Request, query: str) -> list[Hit]:
    """Those that there is a way to, by their name in either language."""
    language = reader_of(request).language
    hits = []
    for area in areas_for(request.app.state.areas, person_of(request)):
        for tab in area.tabs:
            said = tab.label.to(language)
            if query.casefold() in f"{said}\n{tab.label}".casefold():
                hits.append(Hit(said, tab.path, area.label.to(language), tab.icon))
    return hits[:FOUND] if query else hits


async def own_reservations(request: Request, query: str) -> list[Hit]:
    """By subject, number, room or id."""
    question = booking.ListReservationsRequest(account_id=person_of(request).account_id, page_size=LOOKED_AT)
    answer = await ask(request, services_of(request).booking.ListReservations, question)
    reader, wanted = reader_of(request), query.casefold()
    digits = wanted.replace("-", "").replace(" ", "")
    hits = [
        Hit(name_of(each), f"/reservations/{each.reservation_id}", when(each, reader), "list")
        for each in answer.reservations
        if any(wanted in text.casefold() for text in (each.subject, each.room.display_name, each.reservation_id))
        or (digits.isdigit() and digits in each.meeting_code)
    ]
    return hits[:FOUND]


def name_of(each: reservation_pb2.Reservation) -> str:
    return each.subject or each.meeting_code


def when(each: reservation_pb2.Reservation, reader: Reader) -> str:
    room = each.room.display_name
    start = f"{reader.local(each.start_time):%Y-%m-%d %H:%M}"
    return f"{start} · {room}" if room else start


async def people(request: Request, query: str) -> list[Hit]:
    question = members.ListMembersRequest(query=query, page_size=FOUND)
    answer = await ask(request, services_of(request).members.ListMembers, question)
    return [Hit(each.display_name, of_member(each), detail_of(each), "people") for each in answer.members]


def detail_of(each: Any) -> str:
    return " · ".join([each.account_id, *(one.path for one in each.memberships[:1])])


async def in_address_book(request: Request, query: str) -> list[Hit]:
    question = address_book.ListColleaguesRequest(query=query, page_size=FOUND)
    answer = await ask(request, services_of(request).address_book.ListColleagues, question)
    found = answer.colleagues
    return [
        Hit(each.display_name, to_card(each), "".join(one.path for one in each.departments[:1]), "people")
        for each in found
    ]


async def in_tree(request: Request, query: str) -> list[Hit]:
    question = departments.SearchDepartmentsRequest(query=query, page_size=FOUND)
    answer = await ask(request, services_of(request).departments.SearchDepartments, question)
    return [Hit(each.display_name, address(each.department_id), above(each), "tree") for each in answer.departments]


def above(each: department_pb2.Department) -> str:
    return each.path.rpartition("/")[0]
