"""Takes events in: what each one comes to is queued in the transaction that notes it in the inbox."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.parser import BytesHeaderParser
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.notifier import dead_letters, deliveries, inbox, preferences, webhooks
from services.notifier.channels import MAIL
from services.notifier.deliveries import Parcel
from services.notifier.events import EVENT_ID, Event, UnreadableEventError, parse
from services.notifier.inbox import Entry
from services.notifier.messages import ESCALATION, WITHDRAWN, Composer, Message
from services.notifier.models import DeadEventState
from services.notifier.planner import About, Letter, Planner, is_before_support
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.observing import traces
from services.platform.serving import errors

log = logging.getLogger(__name__)

Bury = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
"""Publishes to the dead-letter stream, and returns when it is stored there."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came. `sequence` is its place in the stream."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes = field(repr=False)
    sequence: int = 0

    def entry(self) -> Entry:
        sequence = self.headers.get("ce-sequence", "")
        known_order = sequence.isascii() and sequence.isdecimal() and len(sequence) <= 18
        return Entry(
            event_id=self.event_id(),
            subject=self.subject,
            entity_id=_plain(self.headers.get("ce-subject", "")),
            entity_seq=int(sequence) if known_order else 0,
        )

    def event_id(self) -> str:
        """Its own, or a hash of all there is."""
        own = self.headers.get("ce-id", "")
        if EVENT_ID.fullmatch(own):
            return own
        content = repr((self.subject, sorted(self.headers.items()), self.payload))
        return "sha256-" + hashlib.sha256(content.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Packet:
    """What an arrival comes to: an event (None: of no concern to mails) with its messages, or the fault that it has."""

    arrival: Arrival
    entry: Entry
    event: Event | None = None
    messages: Sequence[Message] = ()
    call: bytes = field(default=b"", repr=False)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """By stream sequence: which must come again, and which are dead. The rest is taken in."""

    postponed: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)


class Intake:
    """`queued` is told after each commit."""

    def __init__(
        self, database: Database, clock: Clock, composer: Composer, planner: Planner, queued: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._composer = composer
        self._planner = planner
        self.queued = queued

    async def take(self, arrivals: Sequence[Arrival], bury: Bury, late: Collection[int] = ()) -> Outcome:
        """`late` are not to wait for the one before them any longer.

        Raises errors.RpcError when the database is away; then all must come again.
        """
        known = await self._database.read(lambda c: inbox.known(c, [each.event_id() for each in arrivals]))
        packets = [self._pack(each) for each in arrivals if each.event_id() not in known]
        outcome = Outcome()
        for packet in packets:
            if packet.fault:
                await _bury(packet, bury, outcome)
        rest = [packet for packet in packets if packet.arrival.sequence not in outcome.postponed]
        if rest:
            await self._store(rest, bury, late, outcome)
        return outcome

    async def _store(self, packets: list[Packet], bury: Bury, late: Collection[int], outcome: Outcome) -> None:
        """Together; when that fails one by one, so that none can keep the others out."""
        try:
            outcome.postponed.update(await self._write(packets, late))
        except errors.RpcError:
            raise
        except Exception as error:
            log.warning("%d events cannot be stored as one: %s", len(packets), type(error).__name__)
            for packet in packets:
                await self._store_one(packet, bury, late, outcome)

    async def _store_one(self, packet: Packet, bury: Bury, late: Collection[int], outcome: Outcome) -> None:
        try:
            outcome.postponed.update(await self._write([packet], late))
        except (errors.RpcError, ConflictError):  # the database is away, or another replica was faster
            outcome.postponed.add(packet.arrival.sequence)
        except Exception as error:
            dead = Packet(packet.arrival, packet.entry, fault=f"cannot be stored: {type(error).__name__}")
            await _bury(dead, bury, outcome)
            if packet.arrival.sequence in outcome.dead:
                await self._write([dead], late)

    async def _write(self, packets: list[Packet], late: Collection[int]) -> set[int]:
        now = self._clock.now()
        postponed = await self._database.write(lambda c: self._take(c, packets, late, now))
        self.queued()
        self._planner.look()
        return postponed

    def _take(self, connection: Connection, packets: Sequence[Packet], late: Collection[int], now: int) -> set[int]:
        """In one transaction; the stream sequences of those that must come again."""
        postponed: set[int] = set()
        seen = inbox.known(connection, [packet.entry.event_id for packet in packets])  # by another replica, meanwhile
        for packet in packets:
            entry = packet.entry
            if entry.event_id in seen:
                continue
            if packet.arrival.sequence not in late and not packet.fault and not inbox.follows(connection, entry):
                postponed.add(packet.arrival.sequence)
                continue
            seen.add(entry.event_id)
            inbox.store(connection, [entry], now)
            self._carry_out(connection, packet, now)
        return postponed

    def _carry_out(self, connection: Connection, packet: Packet, now: int) -> None:
        arrival, event = packet.arrival, packet.event
        if packet.fault:
            dead_letters.store(
                connection, packet.entry.event_id, arrival.subject, arrival.headers, arrival.payload, packet.fault, now
            )
            return
        # only here is it known who of support has the case before them already
        if event and (asked := self._planner.note(connection, event, now)):
            packet = replace(packet, messages=self._after_asking(connection, event, asked))
        with traces.received("take event in", arrival.headers.get(traces.HEADER, "")):
            deliveries.enqueue(connection, _parcels(connection, packet), now)

    def _after_asking(self, connection: Connection, event: Event, asked: Sequence[str]) -> list[Message]:
        """Support is asked once about a case. A notice that has not left yet says what is now, or is taken back, and
        whoever was not asked is not told that it is settled. What nobody answered in time is told in any case.
        """
        messages = self._composer.compose(event, asked)
        if event.type == "reservation.expired":
            return messages
        unsent = deliveries.untried(connection, event.reservation_id, ESCALATION)
        if is_before_support(event):
            self._say_what_is_now(connection, event, unsent)
            return messages
        deliveries.take_back(connection, [row.delivery_id for row in unsent])
        unasked = {row.recipient for row in unsent}
        return [each for each in messages if not each.kind.startswith(WITHDRAWN) or each.recipient not in unasked]

    def _say_what_is_now(self, connection: Connection, event: Event, unsent: Sequence[sa.Row[Any]]) -> None:
        for row in unsent:
            now = {(each.kind, each.recipient): each for each in self._composer.escalation(event, row.event_id)}
            if message := now.get((row.kind, row.recipient)):
                deliveries.rewrite(connection, row.delivery_id, message.content)

    def queue(self, connection: Connection, letter: Letter) -> None:
        """What was planned, when its time has come. Call `queued` after the commit."""
        account_id = letter.about[0]
        wanted = [each for each in letter.messages if preferences.is_wanted(connection, account_id, each.kind)]
        parcels = [_mail(letter.source_id, each, letter.about) for each in wanted]
        timely = [replace(parcel, expire_time=letter.expire_time) for parcel in parcels]
        deliveries.enqueue(connection, timely, self._clock.now())

    def _pack(self, arrival: Arrival) -> Packet:
        """Reads and composes: all that can go wrong with an event goes wrong here."""
        entry = arrival.entry()
        try:
            event = parse(arrival.headers, arrival.payload)
            call = webhooks.body(arrival.headers, arrival.payload)
        except UnreadableEventError as error:
            return Packet(arrival, entry, fault=f"unreadable: {error}")
        try:
            messages = self._composer.compose(event) if event else []
        except Exception as error:
            # only the type is told: the text could quote the event
            return Packet(arrival, entry, fault=f"no notice can be made of it: {type(error).__name__}")
        if event and not messages:
            log.info("event %s (%s): nobody to write to", event.event_id, event.type)
        return Packet(arrival, entry, event, messages, call)

    async def retry(self, dead_event_id: str, actor: str, by: audit.Caller | None = None) -> sa.Row[Any]:
        """Takes a dead event in after all. Raises errors.RpcError; then it stays open, with the reason of today."""
        row = await self._database.read(lambda c: dead_letters.get_open(c, dead_event_id))
        packet = self._pack(Arrival(row.subject, dead_letters.headers_of(row), row.payload))
        now = self._clock.now()

        def work(connection: Connection) -> sa.Row[Any]:
            dead_letters.lock_open(connection, dead_event_id)
            values = {"reason": packet.fault} if packet.fault else {"state": DeadEventState.RETRIED, "actor": actor}
            dead_letters.update(connection, dead_event_id, now, **values)
            if not packet.fault:
                self._carry_out(connection, packet, now)
            return dead_letters.get(connection, dead_event_id)

        changed = await self._database.write(audit.noted(work, lambda row: dead_act(by, row)))
        if packet.fault:
            words = f"{packet.fault}; it stays open", f"{packet.fault}；仍待处理"
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "STILL_DEAD", *words)
        self.queued()
        return changed

    async def drop(self, dead_event_id: str, actor: str, note: str, by: audit.Caller | None = None) -> sa.Row[Any]:
        """Settles it without effect, on the record. Raises errors.RpcError."""
        now = self._clock.now()

        def work(connection: Connection) -> sa.Row[Any]:
            dead_letters.lock_open(connection, dead_event_id)
            dead_letters.update(connection, dead_event_id, now, state=DeadEventState.DROPPED, actor=actor, note=note)
            return dead_letters.get(connection, dead_event_id)

        return await self._database.write(audit.noted(work, lambda row: dead_act(by, row)))


async def _bury(packet: Packet, bury: Bury, outcome: Outcome) -> None:
    """First into the stream, for that can be done again without a second copy."""
    arrival, event_id = packet.arrival, packet.entry.event_id
    log.error("stream message %d is a dead event now: %s", arrival.sequence, packet.fault)
    headers = dead_letters.stream_headers(event_id, arrival.sequence, arrival.headers, packet.fault)
    try:
        await bury(dead_letters.stream_subject(arrival.subject), arrival.payload[: dead_letters.MOST_PAYLOAD], headers)
    except Exception as error:
        log.warning("the dead-letter stream does not take it, trying again: %s", type(error).__name__)
        outcome.postponed.add(arrival.sequence)
    else:
        outcome.dead.add(arrival.sequence)


def dead_act(by: audit.Caller | None, row: sa.Row[Any]) -> audit.Act | None:
    return audit.Act(by, "dead_event", row.dead_event_id, "", str(row.state)) if by else None


def _parcels(connection: Connection, packet: Packet) -> list[Parcel]:
    event = packet.event
    about = (_plain(event.account_id), _plain(event.reservation_id)) if event else ("", "")
    mails = [
        _mail(event.event_id, message, about)
        for message in packet.messages
        if event and preferences.is_wanted(connection, event.account_id, preferences.notice_of(event, message.kind))
    ]
    return mails + webhooks.parcels(connection, packet.entry, packet.call, about)


def _mail(event_id: str, message: Message, about: About) -> Parcel:
    message_id = BytesHeaderParser().parsebytes(message.content)["Message-ID"] or ""
    parcel = Parcel(event_id, MAIL, message.kind, message.recipient, *about, str(message_id), message.content)
    return replace(parcel, addressee=_plain(message.addressee))


def _plain(text: str) -> str:
    """What every database takes."""
    return text.replace("\0", "")[:200]
