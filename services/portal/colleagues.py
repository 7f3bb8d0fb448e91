"""The address book: colleagues with the tree of departments beside them, and one's card."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import address_book_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.platform.text.messages import message
from services.portal.calls import ask, services_of
from services.portal.rendering import reader_of, render
from services.portal.tables import LONGEST_TOKEN, SHOWN
from services.portal.texts import CARD_FIELDS

PATH = "/colleagues"
PERMISSION = "address_book.view"
CARD, BELOW = f"{PATH}/card", f"{PATH}/below"
"""With ?id= and ?department=."""
LONGEST = 100
BRANCHES = 200
"""Departments on one page of a level."""
FACTS: Mapping[int, str] = {
    pb.CARD_FIELD_TITLE: "title",
    pb.CARD_FIELD_EMAIL: "email",
    pb.CARD_FIELD_PHONE: "phone",
    pb.CARD_FIELD_STAFF_ID: "staff_id",
}
"""What cards may say besides departments, in the order in which people read it."""


async def show(request: Request) -> Response:
    """Also what follows what is typed: then the list alone is looked at."""
    book = await _open(request)
    if not book.open:
        return render(request, "colleagues.html", book=book)
    given = request.query_params
    query = given.get("q", "").strip()[:LONGEST]
    department_id, token = given.get("department", "")[:64], given.get("page", "")[:LONGEST_TOKEN]
    question = api.ListColleaguesRequest(
        query=query, department_id=department_id, below=True, page_size=SHOWN, page_token=token
    )
    listed = await ask(request, services_of(request).address_book.ListColleagues, question)
    kept = {name: value for name, value in (("q", query), ("department", department_id)) if value}
    return render(
        request,
        "colleagues.html",
        book=book,
        level=await _level(request, department_id) if book.departments_shown else None,
        listed=listed,
        query=query,
        department_id=department_id,
        first=address(**kept) if token else "",
        next=address(**kept, page=listed.next_page_token) if listed.next_page_token else "",
        facts=_facts(request, book),
        says_departments=pb.CARD_FIELD_DEPARTMENTS in book.fields,
        to_card=to_card,
    )


async def show_below(request: Request) -> Response:
    """A part of the tree."""
    return render(request, "_branches.html", level=await _level(request, request.query_params.get("department", "")))


async def show_card(request: Request) -> Response:
    question = api.GetColleagueRequest(account_id=request.query_params.get("id", ""))
    answer = await ask(request, services_of(request).address_book.GetColleague, question)
    book = await _open(request)
    facts = _facts(request, book)
    departments = pb.CARD_FIELD_DEPARTMENTS in book.fields
    return render(request, "colleague.html", each=answer.colleague, facts=facts, says_departments=departments)


def address(**query: str) -> str:
    return f"{PATH}?{urlencode(query)}" if query else PATH


def to_card(each: api.Colleague) -> str:
    return f"{CARD}?{urlencode({'id': each.account_id})}"


async def _open(request: Request) -> api.GetAddressBookResponse:
    return await ask(request, services_of(request).address_book.GetAddressBook, api.GetAddressBookRequest())


async def _level(request: Request, parent_id: str) -> api.ListColleagueDepartmentsResponse:
    token = request.query_params.get("more", "")[:LONGEST_TOKEN]
    question = api.ListColleagueDepartmentsRequest(parent_id=parent_id, page_size=BRANCHES, page_token=token)
    return await ask(request, services_of(request).address_book.ListColleagueDepartments, question)


def _facts(request: Request, book: api.GetAddressBookResponse) -> dict[str, str]:
    """Of a card: what each is called, by its name."""
    language = reader_of(request).language
    return {name: CARD_FIELDS[field].to(language) for field, name in FACTS.items() if field in book.fields}


LABEL = message("Address book")
