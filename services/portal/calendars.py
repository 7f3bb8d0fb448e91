"""Reservations for calendars (RFC 5545): one as a file, all of one's own as a feed with a secret address.

Whoever has the address reads the feed without signing in, so its secret is neither logged nor passed on: booking is
asked with a hash of it, over the bus, where the portal's user proves who asks.
"""

import hashlib
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, timedelta

import nats.errors
from google.protobuf.message import DecodeError
from icalendar import Calendar, Event
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from yunhui.booking.v1 import calendar_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.contracts import calendars, subjects
from services.platform.serving.rates import Rate
from services.portal.session_store import Bucket, StoreAwayError

PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 60
FETCHES_A_MINUTE, STRANGERS_A_MINUTE = 30, 300
REMEMBERED = 10_000
REFRESH = timedelta(hours=1)
MEDIA_TYPE = "text/calendar; charset=utf-8"
_PATH = re.compile(r"(/calendar/).+")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_STATUSES: Mapping[int, str] = {
    pb.RESERVATION_STATE_PENDING_APPROVAL: "TENTATIVE",
    pb.RESERVATION_STATE_CONFIRMED: "CONFIRMED",
    pb.RESERVATION_STATE_IN_USE: "CONFIRMED",
    pb.RESERVATION_STATE_COMPLETED: "CONFIRMED",
}


def address(portal_url: str, secret: str) -> str:
    return f"{portal_url}/calendar/{secret}.ics"


def without_secret(path: str) -> str:
    """For logs."""
    return _PATH.sub(r"\1…", path)


def to_file(record: pb.Reservation, domain: str) -> bytes:
    """For whoever puts one entry into a calendar of theirs."""
    return bytes(_calendar([record], domain).to_ical())


def to_feed(records: Iterable[pb.Reservation], domain: str) -> bytes:
    """A calendar of its own, with a name, that is fetched again and again."""
    made = _calendar(records, domain)
    made.add("x-wr-calname", "云会 Yunhui")
    made.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    return bytes(made.to_ical())


def _calendar(records: Iterable[pb.Reservation], domain: str) -> Calendar:
    """`domain` is that of the mails' sender: so the same reservation is one entry, however it came to a calendar."""
    made = Calendar()
    made.add("version", "2.0")
    made.add("prodid", "-//yunhui//portal//EN")
    made.add("method", "PUBLISH")
    for record in records:
        made.add_component(_to_event(record, domain))
    return made


def _to_event(record: pb.Reservation, domain: str) -> Event:
    status = _STATUSES.get(record.state, "CANCELLED")
    event = Event()
    event.add("uid", calendars.uid(record.reservation_id, domain))
    event.add("sequence", calendars.sequence(record.version))
    event.add("dtstamp", record.update_time.ToDatetime(UTC).replace(microsecond=0))
    event.add("dtstart", record.start_time.ToDatetime(UTC))
    event.add("dtend", record.end_time.ToDatetime(UTC))
    event.add("summary", record.subject)
    event.add("status", status)
    event.add("transp", "TRANSPARENT" if status == "CANCELLED" else "OPAQUE")
    if record.HasField("room"):
        event.add("location", record.room.display_name)
    return event


class Feeds:
    """Answers at /calendar/SECRET.ics. Each address may be fetched so often; those that open nothing, all together."""

    def __init__(self, bucket: Bucket, domain: str) -> None:
        self._bucket = bucket
        self._domain = domain
        self._each, self._strangers = Rate(FETCHES_A_MINUTE), Rate(STRANGERS_A_MINUTE)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def routes(self) -> list[Route]:
        return [Route("/calendar/{secret}.ics", self.show)]

    async def show(self, request: Request) -> Response:
        secret = str(request.path_params["secret"])
        digest = hashlib.sha256(secret.encode()).digest()
        if wait := self._restrain(digest):
            return _later(429, math.ceil(wait))
        if not _SECRET.fullmatch(secret):
            return _nothing()
        try:
            answer = await self._ask(digest)
        except (nats.errors.Error, TimeoutError, DecodeError, StoreAwayError):
            return _later(503, RETRY_SECONDS)
        if answer.unavailable:
            return _later(503, RETRY_SECONDS)
        return self._found(request, digest, answer) if answer.found else self._lost(digest)

    def _restrain(self, digest: bytes) -> float:
        """Seconds to wait; 0: come in. Whoever tries addresses holds up no calendar that was let in before."""
        if digest in self._known:
            return self._each.take(digest.hex())
        return self._strangers.take("")

    async def _ask(self, digest: bytes) -> api.ReadCalendarResponse:
        body = api.ReadCalendarRequest(secret_hash=digest).SerializeToString()
        reply = await self._bucket.client().request(subjects.CALENDAR, body, timeout=PATIENCE_SECONDS)
        return api.ReadCalendarResponse.FromString(reply.data)

    def _found(self, request: Request, digest: bytes, answer: api.ReadCalendarResponse) -> Response:
        self._known[digest] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        body = to_feed(answer.reservations, self._domain)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"etag": tag, "cache-control": "private, no-cache"}
        if _matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=MEDIA_TYPE, headers=headers)

    def _lost(self, digest: bytes) -> Response:
        self._known.pop(digest, None)
        return _nothing()


def _matches(asked: str, tag: str) -> bool:
    """RFC 9110, 13.1.2: weak comparison."""
    return asked.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in asked.split(","))


def _nothing() -> Response:
    """The same for what was revoked, was replaced, and never was."""
    return PlainTextResponse("There is no such calendar.\n", 404)


def _later(status: int, seconds: int) -> Response:
    return PlainTextResponse("Please ask again later.\n", status, {"retry-after": str(seconds)})
