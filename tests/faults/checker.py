"""Looks for breaches of the promises in what is stored: plain SQL on the tables, and every event replayed in order.

Shares no code with booking, and knows the rules by heart: three reservations a day and ten a week, in Shanghai.
Loads write the request_id as the subject, so that a request that was stored twice shows.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from tests.faults.answers import Answer, Facts

DAILY, WEEKLY = 3, 10
MINUTE = 60_000
DAY = 86_400_000
SHANGHAI = 8 * 3_600_000  # ahead of UTC all year
MONDAY = 3  # days from the first Monday back to the epoch, a Thursday
CUTOFF = 30 * MINUTE

HOLDS = ("CONFIRMED", "IN_USE")
COUNTS = ("PENDING_APPROVAL", "CONFIRMED", "IN_USE", "COMPLETED", "NO_SHOW")

_DAY = f"(start_time + {SHANGHAI}) / {DAY}"
_COUNTED = f"(state IN {COUNTS} OR (state = 'CANCELLED' AND cancel_time > start_time - {CUTOFF}))"
_HELD_UNTIL = (
    "CASE WHEN {0}.state = 'COMPLETED' AND {0}.update_time < {0}.end_time THEN {0}.update_time ELSE {0}.end_time END"
)

QUERIES = {
    "overlap": f"""
        SELECT a.room_id, a.reservation_id, b.reservation_id FROM reservation a JOIN reservation b
        ON a.room_id = b.room_id AND a.reservation_id < b.reservation_id
        AND a.state IN ('CONFIRMED', 'IN_USE', 'COMPLETED') AND b.state IN ('CONFIRMED', 'IN_USE', 'COMPLETED')
        AND a.start_time < {_HELD_UNTIL.format("b")} AND b.start_time < {_HELD_UNTIL.format("a")}""",
    "daily quota": f"""
        SELECT account_id, {_DAY}, count(*) FROM reservation WHERE {_COUNTED}
        GROUP BY account_id, {_DAY} HAVING count(*) > {DAILY}""",
    "weekly quota": f"""
        SELECT account_id, ({_DAY} + {MONDAY}) / 7, count(*) FROM reservation WHERE {_COUNTED}
        GROUP BY account_id, ({_DAY} + {MONDAY}) / 7 HAVING count(*) > {WEEKLY}""",
    "no decision": """
        SELECT r.reservation_id, r.decision_id FROM reservation r LEFT JOIN decision d
        ON d.decision_id = r.decision_id AND d.reservation_id = r.reservation_id AND d.effect IN ('ALLOW', 'ESCALATE')
        AND d.policy_version <> ''
        WHERE d.decision_id IS NULL""",
    "room too small": """
        SELECT r.reservation_id, r.participant_count, o.capacity FROM reservation r JOIN room o
        ON o.room_id = r.room_id WHERE r.participant_count > o.capacity""",
    "request stored twice": """
        SELECT account_id, subject, count(*) FROM reservation GROUP BY account_id, subject HAVING count(*) > 1""",
    "events out of sequence": """
        SELECT entity_id, entity_seq, position FROM (
            SELECT entity_id, entity_seq, row_number() OVER (PARTITION BY entity_id ORDER BY seq) AS position
            FROM outbox) numbered WHERE entity_seq <> position""",
    "event repeated": """
        SELECT entity_id, subject, count(*) FROM outbox WHERE subject LIKE '%.released' OR subject LIKE '%.confirmed'
        GROUP BY entity_id, subject HAVING count(*) > 1""",
    "change without event": """
        SELECT r.reservation_id, r.version, count(o.seq) FROM reservation r LEFT JOIN outbox o
        ON o.entity_id = r.reservation_id GROUP BY r.reservation_id, r.version HAVING r.version <> count(o.seq)""",
    "deadline of nothing": """
        SELECT d.kind, d.entity_id, r.state FROM deadline d JOIN reservation r ON r.reservation_id = d.entity_id
        WHERE r.state NOT IN ('PENDING_APPROVAL', 'CONFIRMED', 'IN_USE')""",
    "violation without no-show": """
        SELECT v.violation_id, r.state FROM violation v JOIN reservation r ON r.reservation_id = v.reservation_id
        WHERE r.state <> 'NO_SHOW' AND NOT v.waived""",
    "no-show without violation": """
        SELECT r.reservation_id FROM reservation r LEFT JOIN violation v ON v.reservation_id = r.reservation_id
        WHERE r.state = 'NO_SHOW' AND v.violation_id IS NULL""",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """`kind` is a key of QUERIES, or what a check below calls it."""

    kind: str
    what: str


def connect(url: str) -> sa.Engine:
    """SQLite, by the library that does not corrupt its file, or PostgreSQL."""
    if make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url)
    import pysqlite3.dbapi2 as sqlite

    return sa.create_engine(url, module=sqlite)


def check(url: str, answers: Iterable[Answer] = ()) -> list[Breach]:
    """Everything that is wrong in the database at `url`, and with what clients were told."""
    engine = connect(url)
    with engine.connect() as connection:
        ledger = replay(read_events(connection))
        found = [*check_tables(connection), *ledger.breaches, *check_records(connection, ledger)]
        found += check_answers(connection, ledger, list(answers))
    engine.dispose()
    return found


def check_tables(connection: Connection) -> Iterator[Breach]:
    for kind, query in QUERIES.items():
        for row in connection.execute(sa.text(query)):
            yield Breach(kind, " ".join(map(str, row)))


def read_events(connection: Connection) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number within its entity, payload), in the order of the commits."""
    query = "SELECT entity_seq, payload FROM outbox WHERE subject LIKE '%.reservation.%' ORDER BY seq"
    for entity_seq, payload in connection.execute(sa.text(query)):
        yield entity_seq, json.loads(payload)


@dataclass
class Ledger:
    """Who held which room and whose quota, after each event: what breaks a rule for a moment only shows here."""

    facts: dict[tuple[str, int], Facts] = field(default_factory=dict)
    last: dict[str, Facts] = field(default_factory=dict)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    breaches: list[Breach] = field(default_factory=list)
    _promised: dict[str, int] = field(default_factory=dict)
    """The start that each stands by: the one that it has, unless that was put off too late."""
    _rooms: defaultdict[str, dict[str, Facts]] = field(default_factory=lambda: defaultdict(dict))
    _periods: defaultdict[tuple[str, str, int], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, number: int, record: dict[str, Any]) -> None:
        after, account_id = to_facts(record), record["organizer"]["accountId"]
        if before := self.last.get(after.reservation_id):
            self._rooms[before.room_id].pop(before.reservation_id, None)
            for period in periods(account_id, self._promised[before.reservation_id]):
                self._periods[period].discard(before.reservation_id)
        moment = to_milliseconds(record["updateTime"])  # when it was cancelled, if it was
        promised = self._promised[after.reservation_id] = self._promise(before, after, moment)
        if after.state in HOLDS:
            self._hold(after)
        if after.state in COUNTS or (after.state == "CANCELLED" and moment > promised - CUTOFF):
            self._count(account_id, after)
        self.last[after.reservation_id] = self.facts[after.reservation_id, number] = after

    def _promise(self, before: Facts | None, after: Facts, moment: int) -> int:
        """The start that it stands by now; a change that takes more, or puts off what has begun, must not be late."""
        if before is None:
            return after.start_time
        promised, times = self._promised[after.reservation_id], (after.start_time, after.end_time)
        late, less = moment > promised - CUTOFF, before.start_time <= times[0] and times[1] <= before.end_time
        put_off = after.start_time > before.start_time
        another_room = before.state == after.state == "CONFIRMED" and after.room_id != before.room_id
        if late and (not less or another_room or (put_off and moment > promised)):
            self.breaches.append(Breach("changed too late", f"{after.reservation_id} {after.version}"))
        return promised if late and less else after.start_time

    def _hold(self, after: Facts) -> None:
        room = self._rooms[after.room_id]
        for other in room.values():
            if other.start_time < after.end_time and after.start_time < other.end_time:
                what = f"{after.room_id} {other.reservation_id} {after.reservation_id}"
                self.breaches.append(Breach("overlap", f"once: {what}"))
        room[after.reservation_id] = after

    def _count(self, account_id: str, after: Facts) -> None:
        for period in periods(account_id, self._promised[after.reservation_id]):
            self._periods[period].add(after.reservation_id)
            limit = {"daily": DAILY, "weekly": WEEKLY}[period[0]]
            if len(self._periods[period]) > limit:
                self.breaches.append(Breach(f"{period[0]} quota", f"once: {period[1]} {period[2]}"))


def replay(events: Iterable[tuple[int, dict[str, Any]]]) -> Ledger:
    ledger = Ledger()
    for number, payload in events:
        if number == 1:
            asked = payload.get("reservation") or payload["request"]
            ledger.requests[asked["organizer"]["accountId"], asked["subject"]] += 1
        if "reservation" in payload:
            ledger.add(number, payload["reservation"])
    doubled = [key for key, count in ledger.requests.items() if count > 1]
    ledger.breaches += [Breach("request stored twice", " ".join(key)) for key in doubled]
    return ledger


def to_facts(record: dict[str, Any]) -> Facts:
    return Facts(
        record["reservationId"],
        int(record["version"]),
        record["state"].removeprefix("RESERVATION_STATE_"),
        record.get("room", {}).get("roomId", ""),
        to_milliseconds(record["startTime"]),
        to_milliseconds(record["endTime"]),
    )


def to_milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def periods(account_id: str, start: int) -> list[tuple[str, str, int]]:
    day = (start + SHANGHAI) // DAY
    return [("daily", account_id, day), ("weekly", account_id, (day + MONDAY) // 7)]


def check_records(connection: Connection, ledger: Ledger) -> Iterator[Breach]:
    """The last event of a reservation tells what is stored."""
    query = "SELECT reservation_id, version, state, coalesce(room_id, ''), start_time, end_time FROM reservation"
    stored = {row[0]: Facts(*row) for row in connection.execute(sa.text(query))}
    for reservation_id in stored.keys() | ledger.last.keys():
        if stored.get(reservation_id) != ledger.last.get(reservation_id):
            yield Breach("event and table differ", reservation_id)


def check_answers(connection: Connection, ledger: Ledger, answers: list[Answer]) -> Iterator[Breach]:
    """What was answered is stored, with its decision; what is stored was answered; and answers do not change."""
    decisions = set(connection.scalars(sa.text("SELECT decision_id FROM decision")))
    told: dict[tuple[str, str, str], tuple[str, Facts | None]] = {}
    for answer in answers:
        if answer.facts and ledger.facts.get((answer.facts.reservation_id, answer.facts.version)) != answer.facts:
            yield Breach("answered but not stored", f"{answer.request_id} {answer.facts}")
        if answer.decision_id and answer.decision_id not in decisions:
            yield Breach("decision not stored", f"{answer.request_id} {answer.decision_id}")
        if answer.request_id:
            key = (answer.method, answer.account_id, answer.request_id)
            if told.setdefault(key, (answer.decision_id, answer.facts)) != (answer.decision_id, answer.facts):
                yield Breach("answered differently", answer.request_id)
    if answers:
        asked = {(account_id, request_id) for method, account_id, request_id in told if method == "CreateReservation"}
        for account_id, request_id in ledger.requests.keys() - asked:
            yield Breach("stored but not answered", f"{account_id} {request_id}")


def check_rounds(answers: Iterable[Answer]) -> list[Breach]:
    """In each round of a rush exactly three requests came through. request_id is ROUND-NUMBER."""
    rounds: defaultdict[str, set[str]] = defaultdict(set)
    for answer in answers:
        if answer.method == "CreateReservation":
            got = rounds[answer.request_id.rpartition("-")[0]]
            got.update([answer.request_id] if answer.outcome == "CONFIRMED" else [])
    return [Breach("not exactly three", f"{name}: {len(got)}") for name, got in rounds.items() if len(got) != DAILY]


def check_stream(url: str, published: Iterable[tuple[str, str]]) -> list[Breach]:
    """`published` are (event id, entity) in the order of the stream: everything stored is there, each entity in order.

    An event may be there again, later: at least once is promised.
    """
    engine = connect(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT entity_id, event_id FROM outbox ORDER BY entity_id, entity_seq"))
        wanted = group((entity, event) for entity, event in rows)
    engine.dispose()
    seen = group((entity, event) for event, entity in dict.fromkeys(published))
    return [Breach("stream and table differ", entity) for entity in wanted if wanted[entity] != seen.get(entity)]


def group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return groups


def summary(breaches: Iterable[Breach]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(breach.kind for breach in breaches))
