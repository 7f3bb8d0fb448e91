"""Server-sent events: what becomes of one's reservations, and that the free rooms have changed."""

import asyncio
import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta

import grpc
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from yunhui.booking.v1 import booking_service_pb2 as api

from services.platform.serving import web
from services.portal.availability import day_of
from services.portal.calls import ask, person_of, services_of
from services.portal.rendering import reader_of
from services.portal.times import stamp_of

PAUSE_SECONDS = 1.0
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


async def reservations(request: Request) -> Response:
    """Changes of what the person may see; the browser connects again by itself when it ends."""
    return _stream(request, _changes(request))


async def _changes(request: Request) -> AsyncIterator[str]:
    services = services_of(request)
    call = services.booking.WatchReservations(
        api.WatchReservationsRequest(), metadata=services.metadata(person_of(request))
    )
    waiting: asyncio.Queue[str | None] = asyncio.Queue()
    reading = asyncio.create_task(_read(call, waiting))
    try:
        yield "retry: 2000\n\n"
        while (line := await _next(waiting)) is not None:
            yield line
    finally:
        reading.cancel()
        call.cancel()


async def _next(waiting: "asyncio.Queue[str | None]") -> str | None:
    """A comment when nothing happens: proxies close what is silent."""
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            return await waiting.get()
    except TimeoutError:
        return ": still here\n\n"


async def _read(
    call: "grpc.aio.UnaryStreamCall[api.WatchReservationsRequest, api.WatchReservationsResponse]",
    waiting: "asyncio.Queue[str | None]",
) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):  # the browser connects again
        await call.initial_metadata()
        await waiting.put(_event("watching", {}))
        async for change in call:
            record = change.reservation
            await waiting.put(_event("reservation", {"id": record.reservation_id, "version": record.version}))
    await waiting.put(None)


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
