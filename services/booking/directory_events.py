"""The durable consumer of the directory's events: what they say of people and departments is kept for the rules."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from nats.aio.msg import Msg
from sqlalchemy.engine import Connection
from yunhui.directory.v1.events_pb2 import DepartmentEvent, MemberEvent

from services.booking import directory
from services.booking.subscriptions import GRACEFUL_SECONDS, pause_seconds
from services.platform.data.database import Database
from services.platform.messaging.consumer import PullConsumer, Source
from services.platform.messaging.proto_json import from_json
from services.platform.settings import Settings

log = logging.getLogger(__name__)

EVENTS = Source(
    "DIRECTORY",
    "yunhui.directory.>",
    "booking",
    64,  # with one commit
    "What the directory says of people and departments: who may book rests on it.",
)
REMOVED = ("merged", "deleted")


@dataclass(frozen=True, slots=True)
class DirectoryEvent:
    """`what` happened, as in member.created; None in `body`: to something that booking does not look at."""

    what: str
    body: MemberEvent | DepartmentEvent | None


def create_consumer(settings: Settings, database: Database) -> PullConsumer:
    """`run` it."""
    receiver = Receiver(database)
    return PullConsumer(settings, EVENTS, receiver.receive, GRACEFUL_SECONDS)


class Receiver:
    """ack when it is stored, nak to see it again, term when it is no event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, messages: Sequence[Msg]) -> None:
        events = [(message, event) for message in messages if (event := await _read(message))]
        try:
            await self._store([event for _, event in events])
        except Exception as error:
            log.warning("%d events were not stored, each is tried alone: %s", len(events), type(error).__name__)
            for message, event in events:
                await self._store_alone(message, event)
        else:
            for message, _ in events:
                await message.ack()

    async def _store(self, events: Sequence[DirectoryEvent]) -> None:
        await self._database.write(lambda connection: store(connection, events))

    async def _store_alone(self, message: Msg, event: DirectoryEvent) -> None:
        try:
            await self._store([event])
        except Exception as error:
            metadata = message.metadata
            log.warning("stream message %d of %s: %s", metadata.sequence.stream, EVENTS.stream, type(error).__name__)
            await message.nak(delay=pause_seconds(metadata.num_delivered))
        else:
            await message.ack()


async def _read(message: Msg) -> DirectoryEvent | None:
    try:
        return read(message.subject, message.data)
    except (json_format.ParseError, ValueError, RecursionError):
        log.error("stream message %d of %s is no event", message.metadata.sequence.stream, EVENTS.stream)
        await message.term()
        return None


def read(subject: str, body: bytes) -> DirectoryEvent:
    """Raises ValueError or json_format.ParseError for what is no event."""
    _, entity, what = subject.removeprefix("yunhui.").split(".")
    if entity == "member":
        told = from_json(body, MemberEvent)
        if not told.member.account_id:
            raise ValueError("names no member")
        return DirectoryEvent(what, told)
    if entity == "department":
        of_department = from_json(body, DepartmentEvent)
        if not of_department.department.department_id:
            raise ValueError("names no department")
        return DirectoryEvent(what, of_department)
    return DirectoryEvent(what, None)


def store(connection: Connection, events: Iterable[DirectoryEvent]) -> None:
    """Any number of times, in any order."""
    changed = set()
    for event in events:
        if isinstance(event.body, MemberEvent):
            if directory.store_member(connection, event.body.member):
                changed.add(event.body.member.account_id)
        elif isinstance(event.body, DepartmentEvent):
            directory.store_department(connection, event.body.department, removed=event.what in REMOVED)
    directory.make_stale(connection, changed)
