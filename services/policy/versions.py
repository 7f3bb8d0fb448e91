"""The published versions: kept in the database, followed by every replica, each in force from its time on."""

import asyncio
import hashlib
import importlib.resources
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from sqlalchemy.engine import Connection
from sqlmodel import col, select
from yunhui.policy.v1 import events_pb2
from yunhui.policy.v1 import policy_service_pb2 as pb
from yunhui.policy.v1.decision_pb2 import Decision

from services.platform.clock import Clock, from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database, query
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors
from services.platform.tasks import run_forever
from services.platform.text.messages import Text, message
from services.policy.decisions import Policy
from services.policy.models import PublishedVersion

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.8
FIRST_AUTHOR = "yunhui"


@dataclass(frozen=True, slots=True)
class Version:
    """A published version and its rules, compiled."""

    number: int
    info: pb.PolicyVersion
    source: str
    tests: str
    policy: Policy

    @property
    def effective_time(self) -> int:
        return from_timestamp(self.info.effective_time)


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """What is to be published. `effective_time` None: at once.

    `base` is the version that must be the newest; "" if there must be none yet, None if it does not matter.
    """

    source: str
    tests: str
    author: str
    note: str
    effective_time: int | None = None
    base: str | None = None
    rolled_back_to: str = ""


class Versions:
    """All versions, oldest first. What decides at a moment depends on that moment alone, so answers stay the same."""

    def __init__(self, database: Database, clock: Clock, committed: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._committed = committed
        self._known: list[Version] = []

    def decide(self, request: pb.DecideRequest) -> Decision:
        """Under the version that the request names, else the one in force at its `now`.

        Raises errors.RpcError NOT_FOUND for an unknown version, InvalidRequestError naming the field.
        """
        return self._for(request).decide(request)

    def allowed(self, request: pb.AllowedSubjectsRequest) -> list[int]:
        """The places of the candidates that `decide` would allow. Raises as it does."""
        return self._for(request.question).allowed(request)

    def _for(self, request: pb.DecideRequest) -> Policy:
        name = request.policy_version
        return (self.named(name) if name else self.at(from_timestamp(request.now))).policy

    def usage(self, request: pb.UsageRequest) -> pb.Usage:
        """Under the version in force at its `now`. Raises InvalidRequestError naming the field."""
        return self.at(from_timestamp(request.now)).policy.usage(request)

    @property
    def window(self) -> pb.HistoryWindow:
        """Of the version that is in force now."""
        return self.at(self._clock.now()).policy.window

    def at(self, moment: int) -> Version:
        """The version in force at `moment` (epoch ms): the one that came into force last."""
        in_force = [version for version in self._known if version.effective_time <= moment]
        return max(in_force or self._known[:1], key=lambda version: (version.effective_time, version.number))

    def named(self, name: str) -> Version:
        """Raises errors.RpcError NOT_FOUND."""
        for version in self._known:
            if version.info.version == name:
                return version
        raise errors.not_found("policy_version", message("there is no such policy_version"))

    def newest_first(self) -> Sequence[Version]:
        return self._known[::-1]

    async def start(self) -> None:
        """Publishes the rules as delivered when there is no version yet, and reads what there is."""
        await self.refresh()
        if not self._known:
            rules = importlib.resources.files("services.policy") / "rules"
            source, tests = ((rules / name).read_text("utf-8") for name in ("default.yaml", "default.test.yaml"))
            draft = PolicyDraft(
                source, tests, FIRST_AUTHOR, "the rules of the tutorial, as delivered", effective_time=0, base=""
            )
            try:
                await self.publish(draft)
            except errors.RpcError:  # another replica was faster
                await self.refresh()

    async def follow(self) -> None:
        """Reads what other replicas publish, until cancelled; meanwhile the versions that are known go on deciding."""
        await run_forever(self.refresh, "policy versions", FOLLOW_SECONDS, pause=FOLLOW_SECONDS)

    async def refresh(self) -> None:
        newest = self._known[-1].number if self._known else 0
        if await self._database.read(read_newest) == newest:  # hardly ever is there news, and a session costs more
            return
        for row in await self._database.read(lambda connection: read_after(connection, newest)):
            version = await asyncio.to_thread(compile_row, row)
            if version.number > (self._known[-1].number if self._known else 0):
                self._known.append(version)
                log.info("policy %s is known, in force from %s", version.info.version, version.effective_time)

    async def publish(self, draft: PolicyDraft, by: audit.Caller | None = None) -> Version:
        """Stores the next version with its event. The draft must have been checked. Raises errors.RpcError ABORTED.

        `by`: noted as who did it; None for the rules as delivered.
        """
        now = self._clock.now()
        name = (await asyncio.to_thread(Policy.load, draft.source)).document.name

        def work(connection: Connection) -> PublishedVersion:
            newest = read_after(connection, 0)[-1:]
            if draft.base is not None and draft.base != (newest[0].version if newest else ""):
                raise aborted(
                    message(
                        "{base} is not the newest version any more: look at what changed, and try again",
                        base=draft.base,
                    ),
                )
            row = to_row(draft, name, newest[0].number + 1 if newest else 1, now)
            with open_session(connection) as session:
                session.add(row)
            outbox.append(connection, [to_event(row, draft.rolled_back_to)])
            return row

        try:
            await self._database.write(audit.audited(work, lambda row: to_audit_entry(row, draft.rolled_back_to, by)))
        except ConflictError as error:
            raise aborted(
                message("another version was published at the same time: look at it, and try again"),
            ) from error
        self._committed()
        await self.refresh()
        return self._known[-1]


def read_newest(connection: Connection) -> int:
    """The number of the newest version; 0 when there is none."""
    [[number]] = query(connection, "SELECT max(number) FROM policy_version")
    return number or 0


def read_after(connection: Connection, number: int) -> Sequence[PublishedVersion]:
    later = select(PublishedVersion).where(PublishedVersion.number > number)
    with open_session(connection) as session:
        return session.exec(later.order_by(col(PublishedVersion.number))).all()


def to_row(draft: PolicyDraft, name: str, number: int, now: int) -> PublishedVersion:
    return PublishedVersion(
        number=number,
        version=f"{name}@{number}",
        source=draft.source,
        tests=draft.tests,
        author=draft.author,
        note=draft.note,
        publish_time=now,
        effective_time=now if draft.effective_time is None else draft.effective_time,
        sha256=hashlib.sha256(draft.source.encode()).hexdigest(),
    )


def compile_row(row: PublishedVersion) -> Version:
    return Version(row.number, to_info(row), row.source, row.tests, Policy.load(row.source, row.version))


def to_info(row: PublishedVersion) -> pb.PolicyVersion:
    return pb.PolicyVersion(
        version=row.version,
        author=row.author,
        note=row.note,
        publish_time=to_timestamp(row.publish_time),
        effective_time=to_timestamp(row.effective_time),
        sha256=row.sha256,
    )


def to_event(row: PublishedVersion, rolled_back_to: str) -> Event:
    payload = events_pb2.PolicyVersionEvent(policy=to_info(row), rolled_back_to=rolled_back_to)
    kind = "rolled_back" if rolled_back_to else "published"
    return Event(
        event_id=new_id("evt"),
        subject=f"yunhui.policy.version.{kind}",
        entity_id="policy",
        entity_seq=row.number,
        time=row.publish_time,
        payload=to_json(payload),
    )


def to_audit_entry(row: PublishedVersion, rolled_back_to: str, by: audit.Caller | None) -> audit.AuditEntry | None:
    if by is None:
        return None
    detail = {"sha256": row.sha256, "effective_time": row.effective_time, "rolled_back_to": rolled_back_to}
    return audit.AuditEntry(by, "policy", row.version, "", "rolled_back" if rolled_back_to else "published", detail)


def aborted(words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.ABORTED, "NOT_THE_NEWEST", words)
