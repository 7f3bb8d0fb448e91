"""The promises one by one, with how much was looked at: what people were told, against database, stream and mailbox.

Shares no code with the product. What `checker` finds is sorted under the promise that it breaks; what concerns
attendance, standing and mail is looked at here. Knows by heart: half an hour of grace, two no-shows within seven days
close booking, and the times at which the notifier must have been interrupted for a mail to come twice.
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.faults import checker
from tests.faults.answers import Answer
from tests.faults.checker import MINUTE, Breach, to_milliseconds

GRACE = 30 * MINUTE
WEEK = 7 * 24 * 60 * MINUTE
ANSWER_LOST_SECONDS = 30.0
"""So long before a mail came again its sender must have been interrupted for the answer to count as lost."""
TOLERANCE_SECONDS = 0.5

KINDS = {
    "no two overlap in a room": ("overlap", "room too small"),
    "quota of day and week": ("daily quota", "weekly quota", "changed too late"),
    "what was answered is stored, what is stored was answered": (
        "answered but not stored",
        "stored but not answered",
        "change without event",
        "event and table differ",
        "deadline of nothing",
    ),
    "same request_id, same answer, one effect": ("answered differently", "request stored twice"),
    "nothing without a stored decision": ("no decision", "decision not stored"),
    "events of an entity in order, no gap, none twice": ("events out of sequence", "event repeated"),
    "outbox and stream are the same": ("stream and outbox differ",),
    "outbox and inbox are the same": ("inbox and outbox differ",),
    "each no-show once, none for who entered": (
        "violation without no-show",
        "no-show without violation",
        "no-show of somebody present",
        "no-show forgotten",
    ),
    "two no-shows close booking, once, and it opens again": ("suspension", "booked while closed", "not reinstated"),
    "each notice is mailed": ("not mailed", "mailed without a notice", "no notice"),
    "mailed again only after a lost answer": ("mailed again",),
    "what support decided is recorded once, in an unbroken chain": ("audit chain broken", "act not recorded"),
    "no call of a client that retries fails": ("request failed",),
}
"""Promise -> what breaks it."""

AUDIT = "number, time, actor, roles, method, target_kind, target_id, account_id, outcome, detail, previous_hash"

EXPECTED = ("FAILED_PRECONDITION",)
"""What one is told who acts on a reservation that has moved on meanwhile."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is compared. Times of mails and interruptions are monotonic seconds, `now` is epoch ms.

    `stream` and `inbox` are (entity, event) in their order, `visits` as people.py wrote them.
    """

    booking_url: str
    notifier_url: str
    now: int
    answers: list[Answer]
    visits: list[dict[str, Any]]
    stream: list[tuple[str, str]]
    received: list[tuple[str, float]]
    unanswered: list[tuple[str, float]]
    interruptions: list[tuple[float, float]]


@dataclass
class Verdict:
    """`seen` is how much was looked at for each promise, `remarks` what is no breach but should be known."""

    breaches: list[Breach] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        found = checker.summary(self.breaches)
        for promise, kinds in KINDS.items():
            number = sum(found.get(kind, 0) for kind in kinds)
            yield f"{promise:<60}{self.seen[promise]:>8} looked at {number:>4} breaches"
        for remark, number in sorted(self.remarks.items()):
            yield f"    {remark}: {number}"


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    verdict.breaches += checker.check(evidence.booking_url, evidence.answers)
    verdict.breaches += check_calls(evidence.answers)
    engine, other = checker.connect(evidence.booking_url), checker.connect(evidence.notifier_url)
    with engine.connect() as booking, other.connect() as notifier:
        check_copies(booking, notifier, evidence, verdict)
        check_attendance(booking, evidence, verdict)
        check_standing(booking, evidence.now, verdict)
        check_mail(booking, notifier, evidence, verdict)
        check_audit(booking, evidence, verdict)
        count_all(booking, evidence, verdict)
    engine.dispose()
    other.dispose()
    unsorted = {breach.kind for breach in verdict.breaches} - {kind for kinds in KINDS.values() for kind in kinds}
    assert not unsorted, unsorted
    return verdict


def count_all(booking: Connection, evidence: Evidence, verdict: Verdict) -> None:
    """How much there was to look at."""
    asked = Counter((each.method, each.account_id, each.request_id) for each in evidence.answers if each.request_id)
    held = "SELECT count(*) FROM reservation WHERE room_id IS NOT NULL"
    days = f"SELECT count(*) FROM (SELECT DISTINCT account_id, {checker._DAY} FROM reservation) AS used"
    verdict.seen |= Counter(
        {
            "no two overlap in a room": count(booking, held),
            "quota of day and week": count(booking, days),
            "what was answered is stored, what is stored was answered": sum(bool(a.facts) for a in evidence.answers),
            "same request_id, same answer, one effect": sum(number > 1 for number in asked.values()),
            "nothing without a stored decision": count(booking, "SELECT count(*) FROM reservation"),
            "events of an entity in order, no gap, none twice": count(
                booking, "SELECT count(DISTINCT entity_id) FROM outbox"
            ),
            "no call of a client that retries fails": len(evidence.answers),
        }
    )
    verdict.remarks["answers lost and asked for again"] = sum(each.lost for each in evidence.answers)
    verdict.remarks["calls told to come again"] = sum(each.refused for each in evidence.answers)


def check_calls(answers: Iterable[Answer]) -> Iterator[Breach]:
    for each in answers:
        if not each.facts and not each.decision_id and each.outcome not in EXPECTED:
            yield Breach("request failed", f"{each.method} {each.request_id} {each.outcome}")


def check_copies(booking: Connection, notifier: Connection, evidence: Evidence, verdict: Verdict) -> None:
    """Outbox, stream and inbox: the same events, each entity in order; the stream may repeat, and once is enough."""
    wanted = pairs(booking, "SELECT entity_id, event_id FROM outbox ORDER BY entity_id, entity_seq")
    inbox = pairs(notifier, "SELECT entity_id, event_id FROM inbox ORDER BY seq")
    for name, copy in (("stream", dict.fromkeys(evidence.stream)), ("inbox", inbox)):
        verdict.seen[f"outbox and {name} are the same"] = len(copy)
        mine, theirs = checker.group(wanted), checker.group(copy)
        for entity in mine.keys() | theirs.keys():
            if mine.get(entity) != theirs.get(entity):
                verdict.breaches.append(Breach(f"{name} and outbox differ", entity))
    verdict.remarks["events twice in the stream"] = len(evidence.stream) - len(dict.fromkeys(evidence.stream))


def check_attendance(booking: Connection, evidence: Evidence, verdict: Verdict) -> None:
    visits = {visit["reservation_id"]: visit for visit in evidence.visits}
    query = """SELECT r.reservation_id, r.state, r.start_time, r.attendance, v.waived FROM reservation r
        LEFT JOIN violation v ON v.reservation_id = r.reservation_id
        WHERE r.state IN ('CONFIRMED', 'IN_USE', 'COMPLETED', 'NO_SHOW')"""
    for reservation_id, state, start, attendance, waived in booking.execute(sa.text(query)):
        if start + GRACE >= evidence.now:
            continue
        verdict.seen["each no-show once, none for who entered"] += 1
        came = presence(visits.get(reservation_id), start)
        verdict.remarks[f"people who {came}"] += 1
        if came == "came" and (state == "NO_SHOW" or waived is False):
            verdict.breaches.append(Breach("no-show of somebody present", reservation_id))
        if came == "stayed away" and state != "NO_SHOW":
            if state == "COMPLETED" and attendance == "UNKNOWN":
                verdict.remarks["not judged: nobody could say who came"] += 1
            else:
                verdict.breaches.append(Breach("no-show forgotten", f"{reservation_id} {state}"))


def presence(visit: dict[str, Any] | None, start: int) -> str:
    if visit is None or visit["asked"] > start + GRACE:
        return "stayed away"
    return "came" if visit["told"] <= start + GRACE else "came about the deadline"


@dataclass
class Standing:
    """One account, its events taken in one after the other. `counting` are violations that closed nothing so far."""

    counting: dict[str, int] = field(default_factory=dict)
    used_up: dict[str, dict[str, int]] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    expected: bool = False

    def add(self, name: str, payload: dict[str, Any]) -> Iterator[str]:
        if self.expected != (name == "suspended"):
            yield "missing" if self.expected else "without a reason"
        self.expected = False
        if name == "violation_recorded":
            self._record(payload["violation"])
        elif name == "suspended":
            suspension = payload["suspension"]
            self.used_up[suspension["suspensionId"]], self.counting = self.counting, {}
            self.closed[suspension["suspensionId"]] = to_milliseconds(suspension["endTime"])
        elif name == "violation_waived":
            self._waive(payload["violation"]["violationId"])
        elif name == "reinstated" and self.closed.pop(payload["suspension"]["suspensionId"], None) is None:
            yield "ended twice"

    def _record(self, violation: dict[str, Any]) -> None:
        moment = to_milliseconds(violation["violationTime"])
        self.counting[violation["violationId"]] = moment
        self.expected = sum(abs(moment - other) < WEEK for other in self.counting.values()) >= 2

    def _waive(self, violation_id: str) -> None:
        """A suspension that it led to is lifted, and what else that had used up counts again."""
        self.counting.pop(violation_id, None)
        for suspension_id, used in self.used_up.items():
            if used.pop(violation_id, None) is not None and suspension_id in self.closed:
                self.counting |= used
                used.clear()


def check_standing(booking: Connection, now: int, verdict: Verdict) -> None:
    accounts: defaultdict[str, Standing] = defaultdict(Standing)
    last: dict[str, dict[str, Any]] = {}
    query = """SELECT o.subject, o.payload, r.create_time FROM outbox o
        LEFT JOIN reservation r ON r.reservation_id = o.entity_id ORDER BY o.seq"""
    for subject, text, create_time in booking.execute(sa.text(query)):
        entity, name = subject.split(".")[2:4]
        payload = json.loads(text)
        if entity == "account":
            account = payload["account"]["accountId"]
            verdict.seen["two no-shows close booking, once, and it opens again"] += name == "violation_recorded"
            if name in ("suspended", "reinstated"):
                verdict.remarks[f"accounts {name}"] += 1
            verdict.breaches += [
                Breach("suspension", f"{account} {fault}") for fault in accounts[account].add(name, payload)
            ]
        elif record := payload.get("reservation"):
            before = last.get(record["reservationId"])
            last[record["reservationId"]] = record
            account = record["organizer"]["accountId"]
            moment = to_milliseconds(record["updateTime"]) if before else create_time
            taken = takes_more(before, record) if name == "updated" and before else not before
            taken |= name == "handed_over"
            if taken and any(moment < end for end in accounts[account].closed.values()):
                verdict.breaches.append(Breach("booked while closed", f"{account} {record['reservationId']}"))
    for account, standing in accounts.items():
        if standing.expected:
            verdict.breaches.append(Breach("suspension", f"{account} missing"))
        if any(end < now for end in standing.closed.values()):
            verdict.breaches.append(Breach("not reinstated", account))


def takes_more(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Other time, another room, or a room where there was none."""
    (since, until), (start, end) = (
        [to_milliseconds(record[name]) for name in ("startTime", "endTime")] for record in (before, after)
    )
    room = after.get("room", {}).get("roomId")
    return start < since or end > until or (room is not None and room != before.get("room", {}).get("roomId"))


def check_mail(booking: Connection, notifier: Connection, evidence: Evidence, verdict: Verdict) -> None:
    """Every notice once at least. Of those with a time limit some were of no use any more when they could be sent."""
    received = Counter(name for name, _ in evidence.received)
    query = "SELECT message_id, state, expire_time FROM delivery WHERE channel = 'mail'"
    for notice, state, expire_time in notifier.execute(sa.text(query)):
        verdict.seen["each notice is mailed"] += 1
        if not received.pop(notice, 0):
            if expire_time and state == "failed":
                verdict.remarks["reminders and digests whose time had passed"] += 1
            else:
                verdict.breaches.append(Breach("not mailed", f"{notice} {state}"))
    verdict.breaches += [Breach("mailed without a notice", stranger) for stranger in received]
    told = {event for _, event in pairs(notifier, "SELECT 'x', event_id FROM delivery WHERE channel = 'mail'")}
    due = "SELECT 'x', event_id FROM outbox WHERE subject LIKE '%.confirmed' OR subject LIKE '%.pending_approval'"
    verdict.breaches += [Breach("no notice", event) for _, event in pairs(booking, due) if event not in told]
    check_repeats(evidence, verdict)


def check_audit(booking: Connection, evidence: Evidence, verdict: Verdict) -> None:
    """The hash of each entry covers all the rest of it, the hash of the entry before included."""
    previous, number, recorded = "0" * 64, 0, Counter[str]()
    for *content, own in booking.execute(sa.text(f"SELECT {AUDIT}, hash FROM audit ORDER BY number")):
        computed = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
        if (content[0], content[-1], own) != (number + 1, previous, computed):
            verdict.breaches.append(Breach("audit chain broken", str(content[0])))
        previous, number = own, content[0]
        recorded[content[AUDIT.split(", ").index("target_id")]] += 1
    for answer in evidence.answers:
        if answer.method == "ResolveEscalation" and answer.facts:
            verdict.seen["what support decided is recorded once, in an unbroken chain"] += 1
            if recorded[answer.facts.reservation_id] != 1:
                verdict.breaches.append(Breach("act not recorded", answer.facts.reservation_id))


def check_repeats(evidence: Evidence, verdict: Verdict) -> None:
    moments = checker.group((name, str(moment)) for name, moment in evidence.received)
    unanswered = set(evidence.unanswered)
    for name, times in moments.items():
        for first, second in itertools.pairwise(map(float, times)):
            verdict.seen["mailed again only after a lost answer"] += 1
            if (name, first) not in unanswered and not interrupted(evidence, first, second):
                verdict.breaches.append(Breach("mailed again", name))


def interrupted(evidence: Evidence, first: float, second: float) -> bool:
    last = min(second, first + ANSWER_LOST_SECONDS)
    return any(began <= last and first <= ended + TOLERANCE_SECONDS for began, ended in evidence.interruptions)


def pairs(connection: Connection, query: str) -> list[tuple[str, str]]:
    return [(str(row[0]), str(row[1])) for row in connection.execute(sa.text(query))]


def count(connection: Connection, query: str) -> int:
    return int(connection.execute(sa.text(query)).scalar_one())


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
