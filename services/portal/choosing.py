"""People chosen in a form of members: found in the address book, where it is open for who looks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import address_book_service_pb2 as api

from services.portal.calls import ask, may, services_of
from services.portal.colleagues import LONGEST, PERMISSION
from services.portal.new_meeting import ChosenPeople
from services.portal.rendering import render

FOUND = 20
"""Colleagues that a search shows."""
NAMED = 40
"""Of those who are chosen so many are shown with their names; the others by their accounts."""


@dataclass(frozen=True, slots=True)
class PeopleChoice:
    """Of people in a form: those who are chosen, and who was found besides."""

    chosen: Sequence[api.Colleague] = ()
    query: str = ""
    found: Sequence[api.Colleague] = ()


async def is_open(request: Request) -> bool:
    """Whether who looks can search. The directory being away takes no form away: accounts can be typed."""
    if not may(request, PERMISSION):
        return False
    try:
        answer = await ask(request, services_of(request).address_book.GetAddressBook, api.GetAddressBookRequest())
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise
        return False
    return answer.open


async def choose(request: Request, people: ChosenPeople, *, searchable: bool) -> PeopleChoice:
    """Raises grpc.aio.AioRpcError."""
    if not searchable:
        return PeopleChoice([_unnamed(each) for each in people.chosen])
    named = await asyncio.gather(*(_named(request, each) for each in people.chosen[:NAMED]))
    chosen = [*named, *(_unnamed(each) for each in people.chosen[NAMED:])]
    return PeopleChoice(chosen, people.query, await _search(request, people.query, people.chosen))


async def _search(request: Request, query: str, chosen: Sequence[str] = ()) -> list[api.Colleague]:
    if not query:
        return []
    question = api.ListColleaguesRequest(query=query, page_size=FOUND)
    answer = await ask(request, services_of(request).address_book.ListColleagues, question)
    return [each for each in answer.colleagues if each.account_id not in chosen]


async def _named(request: Request, account_id: str) -> api.Colleague:
    """As the address book says; by the account alone whom it does not know."""
    question = api.GetColleagueRequest(account_id=account_id)
    try:
        return (await ask(request, services_of(request).address_book.GetColleague, question)).colleague
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise
        return _unnamed(account_id)


def _unnamed(account_id: str) -> api.Colleague:
    return api.Colleague(account_id=account_id, display_name=account_id)


async def show_found(request: Request) -> Response:
    """A part of a form: who was searched for. `name` is that of the field."""
    given = request.query_params
    name = "host" if given.get("name") == "host" else "invitee"
    query = given.get(f"find_{name}", "").strip()[:LONGEST]
    return render(request, "_people_found.html", name=name, query=query, found=await _search(request, query))
