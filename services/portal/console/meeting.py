"""One meeting: what is known of it, who is inside while it runs, who was inside afterwards, what was done to it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.platform.text.messages import Text, message
from services.portal import meeting_history, recordings
from services.portal.calls import ask, may, services_of
from services.portal.console.addresses import MEETING, RECORDINGS, of_meeting
from services.portal.console.forms import for_permitted
from services.portal.console.meeting_acts import mark_of, nonce, value_of
from services.portal.meetings import get, key_in, query_of
from services.portal.rendering import reader_of, render
from services.portal.tables import LONGEST_TOKEN

VIEW, CONTROL = "meetings.view_all", "meetings.control"
ACTS = 20
"""Of those that were done, on one page."""
VERBS = {
    "settings": control.CONTROL_VERB_CHANGE_SETTINGS,
    "mute": control.CONTROL_VERB_MUTE,
    "remove": control.CONTROL_VERB_REMOVE,
    "co-host": control.CONTROL_VERB_SET_CO_HOST,
    "admit": control.CONTROL_VERB_ADMIT,
    "wait": control.CONTROL_VERB_PUT_IN_WAITING_ROOM,
    "turn-away": control.CONTROL_VERB_TURN_AWAY,
    "rename": control.CONTROL_VERB_RENAME,
    "stop-video": control.CONTROL_VERB_STOP_VIDEO,
    "stop-sharing": control.CONTROL_VERB_STOP_SHARING,
    "invite": control.CONTROL_VERB_INVITE,
    "end": control.CONTROL_VERB_END,
}
SAID = {
    "not-running": message("The meeting does not run any more: nothing was done."),
    "no-verb": message("The provider has no way to do this: nothing was done."),
    "under-way": message("The same is under way already. Look below, or load the page again in a moment."),
    "nobody": message("Nobody waits any more: nothing was done."),
    "nothing": message("Nothing was chosen, so everything stays as it was."),
}
"""What else may become of an order, by what the address says of it."""
PERSONS = frozenset({"mute", "remove", "co-host", "wait", "rename", "stop-video", "stop-sharing"})
"""What is done to one of those inside."""


@dataclass(frozen=True, slots=True)
class MeetingNow:
    """A meeting, and by name what who looks may have done in it: nothing unless it runs."""

    meeting: pb.ListedMeeting
    can: frozenset[str]

    @property
    def runs(self) -> bool:
        return self.meeting.phase == pb.MEETING_PHASE_RUNNING


async def now(request: Request, key: MeetingKey) -> MeetingNow:
    """Raises grpc.aio.AioRpcError, as all below."""
    answer = await get(request, key)
    runs = answer.meeting.phase == pb.MEETING_PHASE_RUNNING
    can = {name for name, verb in VERBS.items() if verb in answer.verbs} if runs and may(request, CONTROL) else set()
    return MeetingNow(answer.meeting, frozenset(can))


async def people(request: Request, key: MeetingKey) -> api.ListPeopleResponse:
    return await ask(request, services_of(request).meetings.ListPeople, api.ListPeopleRequest(meeting=key))


async def acts(request: Request, key: MeetingKey) -> control.ListControlActsResponse:
    token = request.query_params.get("acts", "")[:LONGEST_TOKEN]
    question = control.ListControlActsRequest(meeting=key, page_size=ACTS, page_token=token)
    return await ask(request, services_of(request).control.ListControlActs, question)


def trail(meeting: pb.ListedMeeting, *more: str) -> list[tuple[str, str]]:
    return [(meeting.subject or "–", of_meeting(meeting.meeting)), *((each, "") for each in more)]


def known(answer: api.ListPeopleResponse) -> bool:
    return answer.knowledge == meeting_pb2.KNOWLEDGE_KNOWN


async def show(request: Request) -> Response:
    key = key_in(request)
    seen = await now(request, key)
    live = seen.runs and "history" not in request.query_params
    done = [each for each in request.query_params.get("done", "").split(",") if each]
    parts: Sequence[Any] = await asyncio.gather(
        acts(request, key),
        people(request, key) if live else nothing(),
        *((_history(request, key)) if not live and seen.meeting.phase != pb.MEETING_PHASE_COMING else ()),
    )
    listed, inside, *history = parts
    return render(
        request,
        "console/meeting.html",
        seen=seen,
        meeting=seen.meeting,
        can=seen.can,
        any_of_one=bool(seen.can & PERSONS),
        listed=listed,
        told=[each for each in listed.acts if each.act_id in done],
        said=SAID.get(request.query_params.get("said", ""), ""),
        inside=inside,
        known=inside is not None and known(inside),
        history=_named(history),
        recordings=recordings.of_meeting(RECORDINGS, key),
        live=f"/live/meeting?{query_of(key)}" if live else "",
        back=of_meeting(key),
        to=lambda act, **more: of_meeting(key, act, **more),
        at=lambda **more: of_meeting(key, **more),
        key=key,
        nonce=nonce(),
        may_invite="invite" in seen.can and may(request, "members.view"),
        clock=lambda stamp: f"{reader_of(request).local(stamp):%H:%M}",
        value=value_of,
        mark=mark_of,
        person_icons=person_icons,
        trail=trail(seen.meeting),
    )


async def nothing() -> None:
    """In place of what is not looked at."""


def _history(request: Request, key: MeetingKey) -> tuple[Any, Any]:
    reader = reader_of(request)
    return meeting_history.visits(request, key, reader), meeting_history.quality(request, key, reader)


def _named(history: Sequence[Any]) -> Mapping[str, Any] | None:
    return dict(zip(("visits", "quality"), history, strict=True)) if history else None


def person_icons(each: pb.PersonInside) -> list[tuple[str, Text]]:
    """How microphone, camera and screen stand: the class, and in words; nothing of what is not told."""
    told = (
        MICROPHONE[each.microphone] if each.HasField("microphone") else None,
        CAMERA[each.camera] if each.HasField("camera") else None,
        SHARING if each.sharing else None,
    )
    return [icon for icon in told if icon]


MICROPHONE = {True: ("mic on", message("Microphone on")), False: ("mic off", message("Muted"))}
CAMERA = {True: ("cam on", message("Camera on")), False: ("cam off", message("Camera off"))}
SHARING = ("scr on", message("Shares the screen"))
PAGES = [(MEETING, for_permitted(VIEW, show), "GET")]
