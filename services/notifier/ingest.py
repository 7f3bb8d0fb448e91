"""Takes events in: what each one comes to is queued in the transaction that notes it in the inbox."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.notifier import dead_letters, deliveries, inbox, preferences, webhooks
from services.notifier.channels import MAIL
from services.notifier.deliveries import NewDelivery
from services.notifier.events import EVENT_ID, BookingEvent, UnreadableEventError, parse
from services.notifier.inbox import InboxEntry
from services.notifier.messages import ESCALATION, WITHDRAWN, Composer, Message
from services.notifier.models import DeadEvent, DeadEventState
from services.notifier.planner import About, NoticeBatch, Planner, is_before_support, put_before_support
from services.notifier.preferences import OptedOut
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.text.messages import message

log = logging.getLogger(__name__)

Bury = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
"""Publishes to the dead-letter stream, and returns when it is stored there."""


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """One message as it came. `sequence` is its place in the stream."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes = field(repr=False)
    sequence: int = 0

    def entry(self) -> InboxEntry:
        sequence = self.headers.get("ce-sequence", "")
        known_order = sequence.isascii() and sequence.isdecimal() and len(sequence) <= 18
        return InboxEntry(
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
class PreparedEvent:
    """What an incoming event comes to: its messages (`event` None: no concern of mails), or the fault that it has."""

    incoming: IncomingEvent
    entry: InboxEntry
    event: BookingEvent | None = None
    messages: Sequence[Message] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """By stream sequence: which must come again, and which are dead. The rest is taken in."""

    postponed: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)


class Ingester:
    """`queued` is told after each commit."""

    def __init__(
        self, database: Database, clock: Clock, composer: Composer, planner: Planner, queued: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._composer = composer
        self._planner = planner
        self.queued = queued

    async def ingest(self, incoming: Sequence[IncomingEvent], bury: Bury, late: Collection[int] = ()) -> IngestOutcome:
        """`late` are not to wait for the one before them any longer.

        Raises errors.RpcError when the database is away; then all must come again.
        """
        known = await self._database.read(lambda c: inbox.known(c, [each.event_id() for each in incoming]))
        events = [self._prepare(each) for each in incoming if each.event_id() not in known]
        outcome = IngestOutcome()
        for prepared in events:
            if prepared.fault:
                await _bury(prepared, bury, outcome)
        rest = [prepared for prepared in events if prepared.incoming.sequence not in outcome.postponed]
        if rest:
            await self._store(rest, bury, late, outcome)
        return outcome

    async def _store(
        self, events: list[PreparedEvent], bury: Bury, late: Collection[int], outcome: IngestOutcome
    ) -> None:
        """Together; when that fails one by one, so that none can keep the others out."""
        try:
            outcome.postponed.update(await self._write(events, late))
        except errors.RpcError:
            raise
        except Exception as error:
            log.warning("%d events cannot be stored as one: %s", len(events), type(error).__name__)
            for prepared in events:
                await self._store_one(prepared, bury, late, outcome)

    async def _store_one(
        self, prepared: PreparedEvent, bury: Bury, late: Collection[int], outcome: IngestOutcome
    ) -> None:
        try:
            outcome.postponed.update(await self._write([prepared], late))
        except (errors.RpcError, ConflictError):  # the database is away, or another replica was faster
            outcome.postponed.add(prepared.incoming.sequence)
        except Exception as error:
            dead = PreparedEvent(prepared.incoming, prepared.entry, fault=f"cannot be stored: {type(error).__name__}")
            await _bury(dead, bury, outcome)
            if prepared.incoming.sequence in outcome.dead:
                await self._write([dead], late)

    async def _write(self, events: list[PreparedEvent], late: Collection[int]) -> set[int]:
        now = self._clock.now()
        postponed = await self._database.write(lambda c: self._ingest(c, events, late, now))
        self.queued()
        self._planner.wake()
        return postponed

    def _ingest(
        self, connection: Connection, events: Sequence[PreparedEvent], late: Collection[int], now: int
    ) -> set[int]:
        """In one transaction; the stream sequences of those that must come again."""
        postponed: set[int] = set()
        taken: list[PreparedEvent] = []
        seen = inbox.known(connection, [each.entry.event_id for each in events])  # by another replica, meanwhile
        places = inbox.known_before(connection, [each.entry for each in events])
        for prepared in events:
            entry = prepared.entry
            if entry.event_id in seen:
                continue
            before = entry.before()
            in_order = before is None or before in places
            if not in_order and not prepared.fault and prepared.incoming.sequence not in late:
                postponed.add(prepared.incoming.sequence)
                continue
            seen.add(entry.event_id)
            places.add(entry.place())
            taken.append(prepared)
        inbox.store(connection, [each.entry for each in taken], now)
        self._carry_out(connection, taken, now)
        return postponed

    def _carry_out(self, connection: Connection, events: Sequence[PreparedEvent], now: int) -> None:
        opted_out = preferences.opted_out(connection, {_plain(each.event.account_id) for each in events if each.event})
        listening = webhooks.listening(connection)
        self._planner.plan(connection, [each.event for each in events if each.event], now)
        rows: list[Mapping[str, Any]] = []
        for prepared in events:
            incoming, event = prepared.incoming, prepared.event
            if prepared.fault:
                _store_dead(connection, prepared, now)
                continue
            # only here is it known who of support has the case before them already
            if event and (asked := put_before_support(connection, event)):
                deliveries.enqueue(connection, rows)  # among them may be what is looked at now
                rows = []
                prepared = replace(prepared, messages=self._after_asking(connection, event, asked))
            with traces.received("take event in", incoming.headers.get(traces.HEADER, "")):
                rows += deliveries.to_rows(_new_deliveries(opted_out, listening, prepared), now)
        deliveries.enqueue(connection, rows)

    def _after_asking(self, connection: Connection, event: BookingEvent, asked: Sequence[str]) -> list[Message]:
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

    def _say_what_is_now(self, connection: Connection, event: BookingEvent, unsent: Sequence[sa.Row[Any]]) -> None:
        for row in unsent:
            now = {(each.kind, each.recipient): each for each in self._composer.escalation(event, row.event_id)}
            if message := now.get((row.kind, row.recipient)):
                deliveries.rewrite(connection, row.delivery_id, message.content)

    def queue(self, connection: Connection, batch: NoticeBatch) -> None:
        """What was planned, when its time has come. Call `queued` after the commit."""
        account_id = batch.about[0]
        opted_out = preferences.opted_out(connection, [account_id])
        wanted = [each for each in batch.messages if preferences.is_wanted(opted_out, account_id, each.kind)]
        new_deliveries = [_mail(batch.source_id, each, batch.about) for each in wanted]
        timely = [replace(delivery, expire_time=batch.expire_time) for delivery in new_deliveries]
        deliveries.enqueue(connection, deliveries.to_rows(timely, self._clock.now()))

    def _prepare(self, incoming: IncomingEvent) -> PreparedEvent:
        """Reads and composes: all that can go wrong with an event goes wrong here."""
        entry = incoming.entry()
        try:
            event = parse(incoming.headers, incoming.payload)
            if event is None:
                webhooks.body(incoming.headers, incoming.payload)  # nobody else has read it
        except UnreadableEventError as error:
            return PreparedEvent(incoming, entry, fault=f"unreadable: {error}")
        try:
            messages = self._composer.compose(event) if event else []
        except Exception as error:
            # only the type is told: the text could quote the event
            return PreparedEvent(incoming, entry, fault=f"no notice can be made of it: {type(error).__name__}")
        if event and not messages:
            log.info("event %s (%s): nobody to write to", event.event_id, event.type)
        return PreparedEvent(incoming, entry, event, messages)

    async def retry(self, dead_event_id: str, actor: str, by: audit.Caller | None = None) -> DeadEvent:
        """Takes a dead event in after all. Raises errors.RpcError; then it stays open, with the reason of today."""
        row = await self._database.read(lambda c: dead_letters.get_open(c, dead_event_id))
        prepared = self._prepare(IncomingEvent(row.subject, dead_letters.headers_of(row), row.payload))
        now = self._clock.now()

        def work(connection: Connection) -> DeadEvent:
            with open_session(connection) as session:
                dead_event = dead_letters.lock_open(session, dead_event_id)
                dead_event.update_time = now
                if prepared.fault:
                    dead_event.reason = prepared.fault
                else:
                    dead_event.state, dead_event.actor = DeadEventState.RETRIED, actor
            if not prepared.fault:
                self._carry_out(connection, [prepared], now)
            return dead_event

        changed = await self._database.write(audit.audited(work, lambda row: to_audit_entry(by, row)))
        if prepared.fault:
            words = message("{fault}; it stays open", fault=prepared.fault)
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "STILL_DEAD", words)
        self.queued()
        return changed

    async def drop(self, dead_event_id: str, actor: str, note: str, by: audit.Caller | None = None) -> DeadEvent:
        """Settles it without effect, on the record. Raises errors.RpcError."""
        now = self._clock.now()

        def work(connection: Connection) -> DeadEvent:
            with open_session(connection) as session:
                dead_event = dead_letters.lock_open(session, dead_event_id)
                dead_event.state, dead_event.update_time = DeadEventState.DROPPED, now
                dead_event.actor, dead_event.note = actor, note
            return dead_event

        return await self._database.write(audit.audited(work, lambda row: to_audit_entry(by, row)))


async def _bury(prepared: PreparedEvent, bury: Bury, outcome: IngestOutcome) -> None:
    """First into the stream, for that can be done again without a second copy."""
    incoming, event_id = prepared.incoming, prepared.entry.event_id
    log.error("stream message %d is a dead event now: %s", incoming.sequence, prepared.fault)
    headers = dead_letters.stream_headers(event_id, incoming.sequence, incoming.headers, prepared.fault)
    try:
        await bury(
            dead_letters.stream_subject(incoming.subject), incoming.payload[: dead_letters.MOST_PAYLOAD], headers
        )
    except Exception as error:
        log.warning("the dead-letter stream does not take it, trying again: %s", type(error).__name__)
        outcome.postponed.add(incoming.sequence)
    else:
        outcome.dead.add(incoming.sequence)


def to_audit_entry(by: audit.Caller | None, row: DeadEvent) -> audit.AuditEntry | None:
    return audit.AuditEntry(by, "dead_event", row.dead_event_id, "", str(row.state)) if by else None


def _store_dead(connection: Connection, prepared: PreparedEvent, now: int) -> None:
    incoming, event_id = prepared.incoming, prepared.entry.event_id
    what = (event_id, incoming.subject, incoming.headers, incoming.payload, prepared.fault)
    dead_letters.store(connection, *what, now)


def _new_deliveries(opted_out: OptedOut, listening: webhooks.Listening, prepared: PreparedEvent) -> list[NewDelivery]:
    incoming, event = prepared.incoming, prepared.event
    about = (_plain(event.account_id), _plain(event.reservation_id)) if event else ("", "")
    mails = [
        _mail(event.event_id, message, about)
        for message in prepared.messages
        if event and preferences.is_wanted(opted_out, event.account_id, preferences.notice_of(event, message.kind))
    ]
    return mails + webhooks.new_deliveries(listening, prepared.entry, incoming.headers, incoming.payload, about)


def _mail(event_id: str, message: Message, about: About) -> NewDelivery:
    """Of a hand-over two accounts are told: to each its own."""
    addressee, (account_id, reservation_id) = _plain(message.addressee), about
    concerns = (addressee or account_id, reservation_id)
    about_it = (message.kind, message.recipient, *concerns, message.message_id, message.content)
    return NewDelivery(event_id, MAIL, *about_it, addressee=addressee)


def _plain(text: str) -> str:
    """What every database takes."""
    return text.replace("\0", "")[:200]
