"""The forms of a running meeting: one person, the waiting room, the settings, who is invited, and its end."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as members
from yunhui.meetings.v1 import control_service_pb2 as api
from yunhui.meetings.v1 import listed_meeting_pb2 as pb

from services.platform.text.messages import message
from services.portal.calls import ask, read, services_of, text_of
from services.portal.console.addresses import MEETING, of_meeting
from services.portal.console.forms import FormRefusal, for_permitted, refused, was_searched
from services.portal.console.meeting import CONTROL, MeetingNow, known, now, people, trail
from services.portal.console.meeting_acts import (
    LONGEST_NAME,
    in_parts,
    led,
    nonce,
    order,
    orders,
    settings_in,
    target_of,
    targets_in,
    value_of,
)
from services.portal.console.members import LONGEST_QUERY
from services.portal.meetings import key_in
from services.portal.rendering import reader_of, render, sentence

FOUND = 20
"""Members that a search shows."""
MOST_INVITED = 100
CHOOSE = message("Search for members, and choose at least one of those found.")
TOO_MANY = message("At most {most} members can be invited at once.", most=MOST_INVITED)

Make = Callable[[pb.Target, str], Any]


def _one(kind: Callable[..., Any], **more: Any) -> Make:
    return lambda target, _: kind(target=target, **more)


def _several(kind: Callable[..., Any], **more: Any) -> Make:
    return lambda target, _: kind(targets=[target], **more)


def _rename(target: pb.Target, name: str) -> api.RenamePersonRequest:
    return api.RenamePersonRequest(target=target, display_name=name)


ON_PERSON: dict[str, tuple[str, Make]] = {
    "mute": ("MutePerson", _one(api.MutePersonRequest, muted=True)),
    "unmute": ("MutePerson", _one(api.MutePersonRequest, muted=False)),
    "stop-video": ("StopVideo", _one(api.StopVideoRequest)),
    "stop-sharing": ("StopSharing", _one(api.StopSharingRequest)),
    "co-host": ("SetCoHost", _one(api.SetCoHostRequest, co_host=True)),
    "no-co-host": ("SetCoHost", _one(api.SetCoHostRequest, co_host=False)),
    "wait": ("PutInWaitingRoom", _several(api.PutInWaitingRoomRequest)),
    "remove": ("RemovePeople", _several(api.RemovePeopleRequest, may_return=True)),
    "remove-for-good": ("RemovePeople", _several(api.RemovePeopleRequest, may_return=False)),
    "rename": ("RenamePerson", _rename),
}
"""What a button of somebody's menu asks for: the method, and the question."""


def _method(request: Request, name: str) -> Callable[..., Awaitable[Any]]:
    method: Callable[..., Awaitable[Any]] = getattr(services_of(request).control, name)
    return method


async def ask_person(request: Request) -> Response:
    return await _person_page(request, request.query_params.get("person", ""))


async def _person_page(request: Request, value: str, refusal: FormRefusal | None = None, name: str = "") -> Response:
    """Also the part of the meeting's page that is the menu. Whoever has left has none."""
    key = key_in(request)
    seen = await now(request, key)
    answer = await people(request, key)
    found = next((each for each in answer.people if value_of(each.target) == value), None)
    part = "hx-request" in request.headers
    status = refusal.status if refusal else 200 if found or part else 404
    return render(
        request,
        "console/_person.html" if part else "console/meeting_person.html",
        status,
        meeting=seen.meeting,
        can=seen.can,
        somebody=found,
        known=known(answer),
        part=part,
        name=name or (found.display_name if found else ""),
        longest=LONGEST_NAME,
        refusal=refusal,
        value=value,
        nonce=nonce(),
        to=lambda act, **more: of_meeting(key, act, **more),
        trail=trail(seen.meeting, found.display_name if found else "–"),
    )


async def on_person(request: Request) -> Response:
    form = await request.form()
    act, value = text_of(form, "act", 40), text_of(form, "person", 400)
    if act not in ON_PERSON or not value:
        raise HTTPException(404)
    method, make = ON_PERSON[act]
    name = text_of(form, "display_name", 200)
    try:
        return led(await order(request, key_in(request), form, _method(request, method), make(target_of(value), name)))
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code is not grpc.StatusCode.INVALID_ARGUMENT or act != "rename":
            raise
        language = reader_of(request).language
        fault = refused(sentence(problem.detail(language), language), "display_name")
        return await _person_page(request, value, fault, name)


async def on_waiting(request: Request) -> Response:
    """One who waits, or all of them: as they wait now."""
    form, key = await request.form(), key_in(request)
    for act, (method, kind, more) in ON_WAITING.items():
        if targets := targets_in(form, act):
            return led(await order(request, key, form, _method(request, method), kind(targets=targets, **more)))
    if not text_of(form, "all"):
        raise HTTPException(404)
    targets = [each.target for each in (await people(request, key)).waiting]
    if not targets:
        return led(of_meeting(key, said="nobody"))
    questions = [api.AdmitPeopleRequest(targets=some) for some in in_parts(targets)]
    return led(await orders(request, key, form, _method(request, "AdmitPeople"), questions))


ON_WAITING: dict[str, tuple[str, Callable[..., Any], dict[str, bool]]] = {
    "admit": ("AdmitPeople", api.AdmitPeopleRequest, {}),
    "away": ("TurnPeopleAway", api.TurnPeopleAwayRequest, {"may_return": True}),
    "away-for-good": ("TurnPeopleAway", api.TurnPeopleAwayRequest, {"may_return": False}),
}


async def on_settings(request: Request) -> Response:
    form, key = await request.form(), key_in(request)
    settings = settings_in(form)
    if not settings.ByteSize():
        return led(of_meeting(key, said="nothing"))
    question = api.ChangeMeetingSettingsRequest(settings=settings)
    return led(await order(request, key, form, _method(request, "ChangeMeetingSettings"), question))


async def ask_end(request: Request) -> Response:
    key = key_in(request)
    seen = await now(request, key)
    return render(
        request,
        "console/meeting_end.html",
        meeting=seen.meeting,
        seen=seen,
        nonce=nonce(),
        back=of_meeting(key),
        to=lambda act, **more: of_meeting(key, act, **more),
        trail=trail(seen.meeting, message("End the meeting").to(reader_of(request).language)),
    )


async def end(request: Request) -> Response:
    form = await request.form()
    return led(await order(request, key_in(request), form, _method(request, "EndMeeting"), api.EndMeetingRequest()))


async def ask_invite(request: Request) -> Response:
    return await _invite_page(request)


async def _invite_page(request: Request, form: Any = None, refusal: FormRefusal | None = None) -> Response:
    key = key_in(request)
    seen: MeetingNow = await now(request, key)
    chosen = _chosen(form) if form else []
    query = text_of(form, "find", LONGEST_QUERY) if form else ""
    return render(
        request,
        "console/meeting_invite.html",
        refusal.status if refusal else 200,
        meeting=seen.meeting,
        can=seen.can,
        chosen=[await _named(request, each) for each in chosen],
        query=query,
        found=await _search(request, query, chosen),
        refusal=refusal,
        nonce=nonce(),
        reason=text_of(form, "reason", 200) if form else "",
        back=of_meeting(key),
        to=lambda act, **more: of_meeting(key, act, **more),
        trail=trail(seen.meeting, message("Invite members").to(reader_of(request).language)),
    )


def _chosen(form: Any) -> list[str]:
    return list(dict.fromkeys(each[:128] for each in form.getlist("account") if isinstance(each, str) and each))


async def _search(request: Request, query: str, chosen: list[str]) -> list[member_pb2.Member]:
    if not query:
        return []
    question = members.ListMembersRequest(query=query, page_size=FOUND)
    answer = await ask(request, services_of(request).members.ListMembers, question)
    return [each for each in answer.members if each.account_id not in chosen]


async def _named(request: Request, account_id: str) -> member_pb2.Member:
    """As the directory knows them; by the account alone whom it does not."""
    question = members.GetMemberRequest(account_id=account_id)
    try:
        return (await ask(request, services_of(request).members.GetMember, question)).member
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            raise
        return member_pb2.Member(account_id=account_id, display_name=account_id)


async def show_found(request: Request) -> Response:
    """A part of the form: what was searched for."""
    given = request.query_params
    query = given.get("find", "").strip()[:LONGEST_QUERY]
    found = await _search(request, query, given.getlist("account"))
    return render(request, "console/_members_found.html", query=query, found=found)


async def invite(request: Request) -> Response:
    form, key = await request.form(), key_in(request)
    if was_searched(form):
        return await _invite_page(request, form)
    chosen, language = _chosen(form), reader_of(request).language
    if not 0 < len(chosen) <= MOST_INVITED:
        fault = (TOO_MANY if chosen else CHOOSE).to(language)
        return await _invite_page(request, form, refused(fault))
    question = api.InviteMembersRequest(account_ids=chosen)
    return led(await order(request, key, form, _method(request, "InviteMembers"), question))


PAGES = [
    (f"{MEETING}/person", for_permitted(CONTROL, ask_person), "GET"),
    (f"{MEETING}/person", for_permitted(CONTROL, on_person), "POST"),
    (f"{MEETING}/waiting", for_permitted(CONTROL, on_waiting), "POST"),
    (f"{MEETING}/settings", for_permitted(CONTROL, on_settings), "POST"),
    (f"{MEETING}/end", for_permitted(CONTROL, ask_end), "GET"),
    (f"{MEETING}/end", for_permitted(CONTROL, end), "POST"),
    (f"{MEETING}/invite", for_permitted("members.view", for_permitted(CONTROL, ask_invite)), "GET"),
    (f"{MEETING}/invite", for_permitted(CONTROL, invite), "POST"),
    (f"{MEETING}/found", for_permitted("members.view", for_permitted(CONTROL, show_found)), "GET"),
]
