"""Server-sent events: what becomes of reservations and meetings, and that the free rooms have changed."""

import asyncio
import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, time, timedelta
from typing import Any, TypeVar

import grpc
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as lookups

from services.platform.serving import web
from services.portal.availability import day_of
from services.portal.calls import ask, person_of, services_of
from services.portal.meetings import key_in
from services.portal.rendering import reader_of
from services.portal.times import stamp_of

C = TypeVar("C")

PAUSE_SECONDS, LONG_PAUSE_SECONDS = 1.0, 5.0
"""Between two questions; the longer one where there was no answer of use."""
BEAT_SECONDS = 15.0
MOST_AT_ONCE, MOST_OF_ONE = web.MOST_AT_ONCE // 2, 20
"""They stay open: half of all connections is for those who ask and go; and nobody watches from so many windows."""
LATER = "retry: 60000\n\n"
"""The browser asks again in a minute."""
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def _stream(request: Request, lines: AsyncIterator[str]) -> Response:
    counted = _counted(request.app.state.streams, person_of(request).account_id, lines)
    return StreamingResponse(counted, media_type="text/event-stream", headers=HEADERS)


async def _counted(streams: Counter[str], account: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    if streams[account] >= MOST_OF_ONE or streams.total() >= MOST_AT_ONCE:
        yield LATER
        return
    streams[account] += 1
    try:
        async for line in lines:
            yield line
    finally:
        streams[account] -= 1
        if not streams[account]:
            del streams[account]


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


CHANGED = _event("meetings", {})


async def reservations(request: Request) -> Response:
    """Changes of what the person may see; the browser connects again by itself when it ends."""
    return _stream(request, _changes(request))


async def _changes(request: Request) -> AsyncIterator[str]:
    services = services_of(request)
    call = services.booking.WatchReservations(
        api.WatchReservationsRequest(), metadata=services.metadata(person_of(request))
    )

    def tell(change: api.WatchReservationsResponse) -> str:
        return _event("reservation", {"id": change.reservation.reservation_id, "version": change.reservation.version})

    async for line in _told(_read(call, tell)):
        yield line


async def _told(*sources: AsyncIterator[str]) -> AsyncIterator[str]:
    """What all of them say, until one has ended; a comment when nothing happens: proxies close what is silent."""
    waiting: asyncio.Queue[str | None] = asyncio.Queue()

    async def pour(lines: AsyncIterator[str]) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):  # the browser connects again
            async for line in lines:
                await waiting.put(line)
        await waiting.put(None)

    reading = [asyncio.create_task(pour(each)) for each in sources]
    try:
        yield "retry: 2000\n\n"
        while (line := await _next(waiting)) is not None:
            yield line
    finally:
        for each in reading:
            each.cancel()


async def _next(waiting: "asyncio.Queue[str | None]") -> str | None:
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            return await waiting.get()
    except TimeoutError:
        return ": still here\n\n"


async def _read(call: "grpc.aio.UnaryStreamCall[Any, C]", tell: Callable[[C], str]) -> AsyncIterator[str]:
    try:
        await call.initial_metadata()
        yield _event("watching", {})
        async for change in call:
            yield tell(change)
    finally:
        call.cancel()


async def meetings(request: Request) -> Response:
    """That meetings have changed: those of the organization, or one's own."""
    return _stream(request, _told(_watch(request)))


async def meeting(request: Request) -> Response:
    """That one meeting has changed, or who is in it, and how."""
    key = key_in(request)
    return _stream(request, _told(_watch(request, key), _people(request, key)))


def _watch(request: Request, *keys: meeting_pb2.MeetingKey) -> AsyncIterator[str]:
    services = services_of(request)
    question = lookups.WatchMeetingsRequest(meetings=keys)
    call = services.meetings.WatchMeetings(question, metadata=services.metadata(person_of(request)))
    return _read(call, lambda _: CHANGED)


async def _people(request: Request, key: meeting_pb2.MeetingKey) -> AsyncIterator[str]:
    """Nobody tells of microphones and cameras, so this asks."""
    seen = b""
    while True:
        answer = await ask(request, services_of(request).meetings.ListPeople, lookups.ListPeopleRequest(meeting=key))
        known = answer.knowledge == meeting_pb2.KNOWLEDGE_KNOWN
        answer.ClearField("as_of")
        now = hashlib.sha256(answer.SerializeToString(deterministic=True)).digest()
        if seen and now != seen:
            yield CHANGED
        seen = now
        await asyncio.sleep(PAUSE_SECONDS if known else LONG_PAUSE_SECONDS)


async def rooms(request: Request) -> Response:
    """That the free times of a day are others now. Bookers may not watch other people's reservations, so this asks."""
    return _stream(request, _availability(request))


async def _availability(request: Request) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    seen = b""
    with contextlib.suppress(grpc.aio.AioRpcError):  # the browser connects again, and then sees what changed
        while True:
            now = await _fingerprint(request)
            yield _event("rooms", {}) if now != seen else ": still here\n\n"
            seen = now
            await asyncio.sleep(PAUSE_SECONDS)


async def _fingerprint(request: Request) -> bytes:
    reader = reader_of(request)
    first = datetime.combine(day_of(request, reader), time(0), reader.zone)
    question = api.SearchAvailabilityRequest(start_time=stamp_of(first), end_time=stamp_of(first + timedelta(days=1)))
    answer = await ask(request, services_of(request).booking.SearchAvailability, question)
    return hashlib.sha256(answer.SerializeToString(deterministic=True)).digest()
