"""Booking a room: step 1 asks for the meeting's number, step 2 for the time, and then comes the answer."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlencode

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from ulid import ULID
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as lookups

from services.contracts import invitations
from services.platform.text.messages import message
from services.portal import policies
from services.portal.calls import Problem, ask, person_of, read, services_of, text_of
from services.portal.rendering import reader_of, render, sentence
from services.portal.texts import LOOK_UPS
from services.portal.times import Reader, typed_interval

MAX_PEOPLE = 10_000
MAX_SUBJECT = 200
_NONCE = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
_EPOCH = re.compile(r"\d{9,10}", re.ASCII)
CARRIED = ("meeting_code", "day", "start", "end", "people", "room_id")
CHOSEN = ("day", "start", "end")
SEVERAL = message("This holds the numbers of several meetings. Which one is meant?")
MADE = (pb.OUTCOME_CONFIRMED, pb.OUTCOME_PENDING_APPROVAL)
CORRECTABLE = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
)


@dataclass(frozen=True, slots=True)
class BookingForm:
    """What the form of step 2 holds. `nonce` is the form's own: the same form sent twice is one request.

    `meeting_code`: the digits, or what was pasted when they are not to be found in it.
    """

    meeting_code: str = ""
    subject: str = ""
    day: str = ""
    start: str = ""
    end: str = ""
    people: str = ""
    room_id: str = ""
    nonce: str = field(default_factory=lambda: str(ULID()).lower())
    between: tuple[Timestamp, Timestamp] | None = None
    """The interval, once it could be read."""
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: pb.Reservation, reader: Reader) -> "BookingForm":
        """The same once more."""
        typed = cls(
            meeting_code=record.meeting_code,
            subject=record.subject,
            people=str(record.participant_count),
            room_id=record.room.room_id,
        )
        return with_interval(typed, record.start_time, record.end_time, reader)

    @property
    def hidden(self) -> dict[str, str]:
        """What a form that offers another time carries along."""
        names = (each.name for each in fields(self) if each.name not in CHOSEN)
        return {name: value for name in names if isinstance(value := getattr(self, name), str)}

    def request(self) -> api.CreateReservationRequest:
        """Only without faults."""
        assert self.between  # noqa: S101 - no faults
        made = api.CreateReservationRequest(
            meeting_code=self.meeting_code,
            subject=self.subject,
            start_time=self.between[0],
            end_time=self.between[1],
            participant_count=int(self.people),
            room_id=self.room_id or None,
        )
        # another body is another request: who goes back and corrects the form must not get the first answer again
        body = hashlib.sha256(made.SerializeToString(deterministic=True)).hexdigest()[:16]
        made.request_id = f"{self.nonce[:40]}-{body}"
        return made


async def ask_number(request: Request) -> Response:
    """Step 1. What was chosen among the free rooms comes along."""
    typed = read_typed(request.query_params, reader_of(request), check=False)
    services = services_of(request)
    upcoming = api.ListReservationsRequest(
        account_id=person_of(request).account_id,
        states=[pb.RESERVATION_STATE_CONFIRMED, pb.RESERVATION_STATE_IN_USE],
        page_size=100,
    )
    listed = await ask(request, services.booking.ListReservations, upcoming)
    return await _step_one(request, typed, following=list(reversed(listed.reservations))[:2])


async def find(request: Request) -> Response:
    """From what was pasted to step 2. A form, for an invitation holds a password, which is not for addresses."""
    typed = read_typed(await request.form(), reader_of(request), check=False)
    if len(invitations.numbers(typed.meeting_code)) != 1:
        return await _number_again(request, typed)
    return RedirectResponse(f"/book?{carried(typed)}", 303)


def carried(typed: BookingForm) -> str:
    """What goes from step to step in an address."""
    return urlencode({name: value for name in CARRIED if (value := getattr(typed, name))})


async def show_meeting(request: Request) -> Response:
    """Step 2 with the meeting's own times, unless others came along."""
    typed = read_typed(request.query_params, reader_of(request), check=False)
    if not any(character.isdigit() for character in typed.meeting_code):
        return RedirectResponse("/", 303)
    return await _step_two(request, typed, propose=True)


async def check(request: Request) -> Response:
    """The rules beside what is typed; the whole page for a browser without JavaScript."""
    typed = read_typed(await request.form(), reader_of(request))
    if "hx-request" not in request.headers:
        return await _step_two(request, typed)
    return await live_verdict(request, verdict(request, typed), "/book/check")


async def live_verdict(request: Request, asked: Awaitable[Mapping[str, Any]], again: str) -> Response:
    """The part of a page that follows what is typed; asked for again at the address `again` when a service is away."""
    try:
        return render(request, "_verdict.html", live=True, **await asked)
    except grpc.aio.AioRpcError as error:
        if not read(error).away and error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return render(request, "_away.html", again=again)


async def reserve(request: Request) -> Response:
    typed = read_typed(await request.form(), reader_of(request))
    if typed.faults:
        return await _step_two(request, typed, status=422)
    try:
        answer = await ask(request, services_of(request).booking.CreateReservation, typed.request())
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in CORRECTABLE:
            raise
        return await _step_two(request, typed, status=409, problem=problem)
    if answer.outcome in MADE:
        return RedirectResponse(f"/reservations/{answer.reservation.reservation_id}?new=1", 303)
    return await _refused(request, typed, answer)


async def _refused(request: Request, typed: BookingForm, answer: api.CreateReservationResponse) -> Response:
    (_, policy), (meeting, _) = await asyncio.gather(policies.in_force(request), look_up(request, typed.meeting_code))
    lines = policies.lines(policy, answer.decision, reader_of(request).language)
    return render(
        request,
        "refusal.html",
        typed=replace(typed, nonce=BookingForm().nonce),
        answer=answer,
        lines=lines,
        reasons=policies.deciding(lines, answer.decision),
        alternatives=offers(answer.alternatives, meeting),
        redirected=answer.outcome == pb.OUTCOME_REDIRECTED,
    )


async def _step_two(
    request: Request,
    typed: BookingForm,
    *,
    propose: bool = False,
    status: int = 200,
    problem: Problem | None = None,
) -> Response:
    (meeting, fault), rooms = await asyncio.gather(
        look_up(request, typed.meeting_code),
        ask(request, services_of(request).booking.ListRooms, api.ListRoomsRequest()),
    )
    if meeting is None:
        return await _number_again(request, typed, fault)
    reader = reader_of(request)
    occurrences = to_come(meeting, reader)
    if propose:
        typed = proposed(typed, meeting, occurrences, reader)
    return render(
        request,
        "meeting.html",
        status,
        meeting=meeting,
        occurrences=occurrences,
        rooms=[room for room in rooms.rooms if room.enabled],
        refused=problem,
        **(said(typed, problem=problem) if problem else await verdict(request, typed, meeting)),
    )


async def _number_again(request: Request, typed: BookingForm, fault: str = "") -> Response:
    """Step 1 with what is wrong with the number, in the gateway's words; with a choice when there are several."""
    choices = invitations.numbers(typed.meeting_code)
    if len(choices) > 1:
        fault = SEVERAL.to(reader_of(request).language)
    elif not fault:
        _, fault = await look_up(request, typed.meeting_code)
    return await _step_one(request, typed, 404, choices if len(choices) > 1 else [], fault)


async def _step_one(
    request: Request,
    typed: BookingForm,
    status: int = 200,
    choices: Sequence[str] = (),
    fault: str = "",
    following: Sequence[pb.Reservation] = (),
) -> Response:
    asked = await ask(request, services_of(request).booking.GetStanding, api.GetStandingRequest())
    return render(
        request,
        "number.html",
        status,
        typed=typed,
        standing=asked.standing,
        following=following,
        choices=[(each, carried(replace(typed, meeting_code=each))) for each in choices],
        fault=fault,
    )


async def look_up(request: Request, code: str) -> tuple[meeting_pb2.Meeting | None, str]:
    """The meeting, or why there is none, in the reader's language."""
    language, question = reader_of(request).language, lookups.LookUpMeetingRequest(meeting_code=code)
    try:
        answer = await ask(request, services_of(request).meetings.LookUpMeeting, question)
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
            raise
        return None, sentence(read(error).detail(language), language)
    if answer.outcome == lookups.LOOK_UP_OUTCOME_FOUND:
        return answer.meeting, ""
    return None, LOOK_UPS.get(answer.outcome, LOOK_UPS[lookups.LOOK_UP_OUTCOME_NOT_FOUND]).to(language)


async def verdict(request: Request, typed: BookingForm, meeting: meeting_pb2.Meeting | None = None) -> dict[str, Any]:
    """What the templates say about a request that is not made yet: what would be said to it."""
    if typed.faults or not typed.people or not typed.between:
        return said(typed)
    question = typed.request()
    question.ClearField("request_id")
    try:
        answer, (_, policy) = await asyncio.gather(
            ask(request, services_of(request).booking.CheckReservation, api.CheckReservationRequest(request=question)),
            policies.in_force(request),
        )
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in CORRECTABLE:
            raise
        return said(typed, problem=problem)
    if answer.alternatives and meeting is None:
        meeting, _ = await look_up(request, typed.meeting_code)
    lines = policies.lines(policy, answer.decision, reader_of(request).language)
    return said(typed, answer, lines, alternatives=offers(answer.alternatives, meeting))


def said(
    typed: BookingForm,
    answer: api.CheckReservationResponse | api.CheckUpdateResponse | None = None,
    lines: Sequence[policies.Line] = (),
    *,
    alternatives: Sequence[tuple[pb.Alternative, bool]] = (),
    problem: Problem | None = None,
) -> dict[str, Any]:
    """What _verdict.html shows; `problem` stands in the way of any decision."""
    return {"typed": typed, "answer": answer, "lines": lines, "alternatives": alternatives, "problem": problem}


def to_come(meeting: meeting_pb2.Meeting, reader: Reader) -> list[meeting_pb2.Occurrence]:
    """Those that are not over, at most eight."""
    now = reader.now.timestamp()
    return [each for each in meeting.occurrences if not each.cancelled and each.end_time.seconds > now][:8]


def proposed(
    typed: BookingForm, meeting: meeting_pb2.Meeting, occurrences: list[meeting_pb2.Occurrence], reader: Reader
) -> BookingForm:
    """The meeting's next time and its subject, where nothing else was said."""
    typed = replace(typed, subject=typed.subject or meeting.subject)
    if typed.between or not occurrences:
        return typed
    start, end = occurrences[0].start_time, occurrences[0].end_time
    return with_interval(typed, start, end, reader)


def with_interval(typed: BookingForm, start: Timestamp, end: Timestamp, reader: Reader) -> BookingForm:
    first, last = reader.local(start), reader.local(end)
    return replace(
        typed,
        day=first.date().isoformat(),
        start=f"{first:%H:%M}",
        end=f"{last:%H:%M}",
        between=(start, end),
    )


def offers(alternatives: Any, meeting: meeting_pb2.Meeting | None) -> list[tuple[pb.Alternative, bool]]:
    """Each with whether the meeting takes place then: if not, it has to be moved first."""
    return [(each, meeting is None or _overlaps(meeting, each)) for each in alternatives]


def _overlaps(meeting: meeting_pb2.Meeting, other: pb.Alternative) -> bool:
    return any(
        each.start_time.seconds < other.end_time.seconds and other.start_time.seconds < each.end_time.seconds
        for each in meeting.occurrences
        if not each.cancelled
    )


def read_typed(form: Any, reader: Reader, *, check: bool = True) -> BookingForm:
    """Faults name their field; an interval that was offered ("take") stands above what is typed."""
    typed = BookingForm(
        meeting_code=_number(text_of(form, "meeting_code", invitations.LONGEST)),
        subject=text_of(form, "subject", MAX_SUBJECT + 1),
        day=text_of(form, "day", 10),
        start=text_of(form, "start", 8),
        end=text_of(form, "end", 8),
        people=text_of(form, "people", 6),
        room_id=text_of(form, "room_id", 64),
        nonce=_nonce(text_of(form, "nonce", 40)),
    )
    taken = _taken(text_of(form, "take", 40))
    typed = with_interval(typed, *taken, reader) if taken else _with_typed_interval(typed, reader)
    return replace(typed, faults=_faults(typed, reader)) if check else typed


def _number(pasted: str) -> str:
    """The digits, when it is sure which; else what was pasted."""
    found = invitations.numbers(pasted)
    return found[0] if len(found) == 1 else pasted


def _nonce(said: str) -> str:
    return (
        said
        if said and all(each.isascii() and (each.isalnum() or each in "-_.") for each in said)
        else BookingForm().nonce
    )


def _taken(said: str) -> tuple[Timestamp, Timestamp] | None:
    start, _, end = said.partition("-")
    if not (_EPOCH.fullmatch(start) and _EPOCH.fullmatch(end)):
        return None
    return Timestamp(seconds=int(start)), Timestamp(seconds=int(end))


def _with_typed_interval(typed: BookingForm, reader: Reader) -> BookingForm:
    try:
        return replace(typed, between=typed_interval(typed.day, typed.start, typed.end, reader.zone))
    except (ValueError, OverflowError):
        return typed


def _faults(typed: BookingForm, reader: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    if not typed.subject:
        found["subject"] = message("Say what the meeting is about.")
    elif len(typed.subject) > MAX_SUBJECT:
        found["subject"] = message("At most 200 characters, please.")
    if not (typed.people.isascii() and typed.people.isdigit() and 1 <= int(typed.people) <= MAX_PEOPLE):
        found["people"] = message("How many people are expected? A number from 1 to 10,000.")
    if typed.between is None:
        found["start"] = message("Give a day, a start and an end.")
    elif typed.between[0].seconds <= reader.now.timestamp():
        found["start"] = message("That time is over: choose a later one.")
    return found
