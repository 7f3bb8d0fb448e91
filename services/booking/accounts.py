"""Accounts and their past: what every decision rests on, and the version that every commit advances."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import Connection, RowMapping
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking import commitments, states
from services.booking.directory import FACTS, JOINS, UNKNOWN, MemberFacts, to_facts
from services.booking.models import ACCOUNT, COUNTS_OFTEN
from services.booking.past import EVERYTHING, Horizon, Past, horizon, starts_of
from services.platform.clock import DAY, from_timestamp, to_timestamp
from services.platform.data.database import Database, ForEach
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.text.messages import message

MOST_KEPT = 100_000
"""Reservations in histories that are kept in memory, 300 to 600 bytes each; an account itself counts as several."""
ACCOUNT_ITSELF = 6
HISTORY = 35 * DAY  # contract of policy.v1.History: no policy may look back further
FOREVER = 2**63 - 1

NEAR = 8 * DAY
"""So much later than what is asked for lies what may be looked at for the answer: when a room is free, what else is
offered. And as much again is read, for those who ask for a day later next time."""

MANY = 64
"""Reservations in a history; of fewer all are told, since choosing would cost more."""

Profile = pb.Organizer


@dataclass(slots=True)
class AccountState:
    """An account as it stood when it was read. `version` 0: not known yet."""

    version: int = 0
    event_seq: int = 0
    profile: Profile | None = None
    roles: list[str] = field(default_factory=list)
    member: MemberFacts = UNKNOWN
    history: policy.History = field(default_factory=policy.History)
    """All of it, or of its reservations no more than `from_time` and `until_time` say."""
    overdue: bool = False
    """A deadline of the account is due and has not been dealt with: its standing is not known."""
    _past: Past | None = None
    """The same history by time, where that pays."""

    def told(self, window: policy.HistoryWindow | None, subjects: Iterable[policy.Subject], now: int) -> policy.History:
        """So much of the history as the policy looks at, for a question about any of `subjects`; all where it has not
        said how far it looks, or where there is little. Never more than was read, and it says so."""
        if window is None or len(self.history.reservations) < MANY:
            return self.history
        if self._past is None:
            self._past = Past(self.history)
        return self._past.within(_horizon_of(window, subjects, now))

    def covers(self, horizon: Horizon) -> bool:
        """Whether so much of its history was read."""
        if not self.history.HasField("from_time"):
            return True
        since, until = from_timestamp(self.history.from_time), from_timestamp(self.history.until_time)
        return since <= horizon.reservations and horizon.until is not None and horizon.until <= until

    def count(self, reservation: policy.PastReservation) -> None:
        """One more in its history."""
        self.history.reservations.append(reservation)
        if self._past:
            self._past.add(reservation)

    def advanced(self, profile: Profile, roles: str, accepted: pb.Reservation | None) -> None:
        """What a commit made of it: its next version, with a reservation more if one was `accepted`."""
        self.version += 1
        self.profile, self.roles = profile, roles.split()
        if accepted:
            item = policy.PastReservation(
                reservation_id=accepted.reservation_id,
                status=_STATUS[states.from_proto(accepted.state)],
                start_time=accepted.start_time,
                end_time=accepted.end_time,
            )
            if accepted.state == pb.RESERVATION_STATE_PENDING_APPROVAL:
                item.escalate_time.CopyFrom(accepted.create_time)
            self.count(item)

    def charged(self, profile: Profile | None, roles: str) -> tuple[Profile, str]:
        """Profile and roles of the account as the token tells them, else as stored. Raises errors.not_found."""
        if profile:
            return profile, roles
        if self.profile is None:
            raise errors.not_found("account", message("there is no such account"))
        return self.profile, " ".join(self.roles)


def _horizon_of(window: policy.HistoryWindow, subjects: Iterable[policy.Subject], now: int) -> Horizon:
    return horizon(window, (start for subject in subjects for start in starts_of(subject)), now)


# Of accounts that have asked for nothing yet, too, the directory may know something.
_ASKED = "WITH asked (account_id) AS (VALUES {0})"
_OF_ASKED = f"FROM asked LEFT JOIN account a ON a.account_id = asked.account_id{JOINS}"

_ACCOUNTS = ForEach(
    f"{_ASKED} SELECT asked.account_id, a.version, event_seq, a.display_name, email, locale, department, roles, {FACTS}"
    f" {_OF_ASKED}",
    "(:id{0})",
    ", ",
    "id",
)

_STANDINGS = ForEach(
    f"{_ASKED} SELECT asked.account_id, a.version, EXISTS (SELECT 1 FROM deadline due"  # noqa: S608 - of constants
    f" WHERE due.account_id = asked.account_id AND due.due_time <= :now), {FACTS} {_OF_ASKED}",
    "(:id{0})",
    ", ",
    "id",
)

_RESERVATIONS = (
    "SELECT 'reservation', account_id, reservation_id, state, start_time, end_time, cancel_time, former_starts,"
    " escalate_time FROM reservation WHERE account_id IN ({0})"
)
_WITHIN = "start_time >= :since AND start_time < :until"

# One statement for what is kept in four tables: each costs more than its rows. Reservations that count at more moments
# than their start are few, and told whenever they start: they have an index of their own. A lifted suspension gives
# back the violations that it had used up.
_HISTORY = ForEach(
    f"{_RESERVATIONS} AND {_WITHIN}"  # noqa: S608 - made of constants
    f" UNION ALL {_RESERVATIONS} AND ({COUNTS_OFTEN}) AND start_time >= :earliest AND NOT ({_WITHIN})"
    " UNION ALL SELECT 'violation', v.account_id, violation_id, '', violation_time, CASE WHEN waived THEN 1 ELSE 0 END,"
    " CASE WHEN s.suspension_id IS NOT NULL AND s.lift_time IS NULL THEN 1 ELSE 0 END, '', NULL"
    " FROM violation v LEFT JOIN suspension s ON s.suspension_id = v.suspension_id"
    " WHERE v.account_id IN ({0}) AND violation_time >= :earliest"
    " UNION ALL SELECT 'suspension', account_id, suspension_id, '', start_time, COALESCE(lift_time, end_time), 0, '',"
    " NULL FROM suspension WHERE account_id IN ({0}) AND end_time >= :earliest"
    " UNION ALL SELECT 'overdue', account_id, entity_id, kind, due_time, 0, 0, '', NULL"
    " FROM deadline WHERE account_id IN ({0}) AND due_time <= :now",
    ":id{0}",
    ", ",
    "id",
)


def read_accounts(
    connection: Connection, ids: Collection[str], now: int, within: Horizon = EVERYTHING
) -> dict[str, AccountState]:
    """The accounts with their raw history, as the policy wants it: of its reservations those `within` only."""
    since, until = (now - HISTORY, FOREVER) if within.until is None else (within.reservations, within.until)
    found: defaultdict[str, AccountState] = defaultdict(AccountState)
    keys = [(each,) for each in dict.fromkeys(ids)]
    for account_id, version, event_seq, name, email, locale, department, roles, *member in _ACCOUNTS.execute(
        connection, keys
    ):
        state = found[account_id]
        state.member = to_facts(*member)
        if version is None:  # only the directory may know it
            continue
        state.version, state.event_seq, state.roles = version, event_seq, roles.split()
        state.profile = Profile(
            account_id=account_id, display_name=name, email=email, locale=locale, department=department
        )
    for row in _HISTORY.execute(connection, keys, since=since, until=until, earliest=now - HISTORY, now=now):
        _ADD[row[0]](found[row[1]], *row[2:])
    for state in () if within.until is None else found.values():
        _set(state.history.from_time, since)
        _set(state.history.until_time, until)
    return found


async def tell_more(
    database: Database,
    account: AccountState,
    question: policy.DecideRequest,
    subjects: Iterable[policy.Subject],
    window: policy.HistoryWindow,
    now: int,
) -> policy.History:
    """What `account` tells, for a question about any of `subjects`; what it does not cover is read.

    Should it have changed meanwhile, then nothing is stored of what is decided: its version was another.
    """
    subjects = list(subjects)
    wanted = _horizon_of(window, subjects, now)
    if not account.covers(wanted):
        account_id = question.account.account_id
        account = (await database.read(lambda c: read_accounts(c, [account_id], now, wanted)))[account_id]
    return account.told(window, subjects, now)


class KnownAccounts:
    """The accounts that asked lately, kept in memory. What `read` gives is what its transaction sees: everything that
    changes what a decision rests on moves the version on, and the versions are read with it. What the directory says is
    read each time: a department that moves changes it for thousands of accounts.

    Only one thread at a time may use it.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        """Over which they were read."""
        self._states: OrderedDict[str, AccountState] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._size = 0

    def read(
        self, connection: Connection, latest: Mapping[str, int], window: policy.HistoryWindow | None, now: int
    ) -> dict[str, AccountState]:
        """By id, with so much of their history as a policy that looks as far as `window` says can need; all, without.

        `latest`: the latest start, epoch ms, that each of them asks for.
        """
        found, outdated = dict[str, AccountState](), list[str]()
        rows = _STANDINGS.execute(connection, [(each,) for each in latest], now=now)
        for account_id, version, overdue, *member in rows:
            state = self._states.get(account_id)
            needed = _horizon_until(latest[account_id] + NEAR, window, now)
            if version is None:
                found[account_id] = AccountState(member=to_facts(*member))
            elif state is None or state.version != version or not state.covers(needed):
                outdated.append(account_id)
            else:
                state.overdue, state.member = bool(overdue), to_facts(*member)
                found[account_id] = state
                self._states.move_to_end(account_id)
        if outdated:
            last = max(latest[each] for each in outdated)
            found |= read_accounts(connection, outdated, now, _horizon_until(last + 2 * NEAR, window, now))
        return {each: found[each] for each in latest}

    def forget(self) -> None:
        """All of them."""
        self._states.clear()
        self._sizes.clear()
        self._size = 0

    def keep(self, account_id: str, state: AccountState) -> None:
        self._forget(account_id)
        self._states[account_id] = state
        self._sizes[account_id] = size = ACCOUNT_ITSELF + len(state.history.reservations)
        self._size += size
        while self._size > MOST_KEPT and len(self._states) > 1:
            self._forget(next(iter(self._states)))

    def _forget(self, account_id: str) -> None:
        self._states.pop(account_id, None)
        self._size -= self._sizes.pop(account_id, 0)


def _horizon_until(last: int, window: policy.HistoryWindow | None, now: int) -> Horizon:
    """For a question about anything from now until `last`."""
    return horizon(window, (now, last), now) if window else EVERYTHING


def _add_reservation(
    past: AccountState,
    id_: str,
    state: str,
    start: int,
    end: int,
    cancelled: int | None,
    former: str | None,
    escalated: int | None,
) -> None:
    item = past.history.reservations.add(reservation_id=id_, status=_STATUS[state])
    _set(item.start_time, start)
    _set(item.end_time, end)
    if cancelled is not None:
        _set(item.cancel_time, cancelled)
    if former:
        item.former_starts.extend(commitments.read(former))
    if escalated is not None:
        _set(item.escalate_time, escalated)


def _add_violation(past: AccountState, id_: str, _: str, time: int, waived: int, used_up: int, *__: object) -> None:
    past.history.violations.add(
        violation_id=id_, violation_time=to_timestamp(time), waived=bool(waived), used_up=bool(used_up)
    )


def _add_suspension(past: AccountState, _id: str, _: str, start: int, end: int, *__: object) -> None:
    past.history.suspensions.add(start_time=to_timestamp(start), end_time=to_timestamp(end))


def _add_overdue(past: AccountState, *_: object) -> None:
    past.overdue = True


_ADD: Mapping[str, Callable[..., None]] = {
    "reservation": _add_reservation,
    "violation": _add_violation,
    "suspension": _add_suspension,
    "overdue": _add_overdue,
}


def _set(stamp: Timestamp, milliseconds: int) -> None:
    """In place: a message made and copied costs four times as much, and histories are long."""
    stamp.seconds = milliseconds // 1000
    if milliseconds % 1000:
        stamp.nanos = milliseconds % 1000 * 1_000_000


_STATUS = {
    state: policy.ReservationStatus.ValueType(policy.ReservationStatus.Value("RESERVATION_STATUS_" + state))
    for state in states.STATES
}

_VERSIONS = ForEach("SELECT account_id, version FROM account WHERE account_id IN ({0})", ":id{0}", ", ", "id")


def read_versions(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    return {row[0]: row[1] for row in _VERSIONS.execute(connection, [(each,) for each in ids])}


_LOCK = ForEach(
    "SELECT account_id FROM account WHERE account_id IN ({0}) ORDER BY account_id FOR UPDATE", ":id{0}", ", ", "id"
)


def lock_accounts(connection: Connection, ids: Collection[str]) -> None:
    """Those that exist, until the transaction ends; in order of id, so that no two wait for each other.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        _LOCK.execute(connection, [(each,) for each in ids])


_PUT = ForEach(
    "INSERT INTO account (account_id, version, event_seq, display_name, email, locale, department, roles) VALUES {0}"
    " ON CONFLICT (account_id) DO UPDATE SET version = excluded.version, display_name = excluded.display_name,"
    " email = excluded.email, locale = excluded.locale, department = excluded.department, roles = excluded.roles"
    " WHERE account.version = excluded.version - 1 RETURNING account_id",
    "(:id{0}, :version{0}, 0, :display_name{0}, :email{0}, :locale{0}, :department{0}, :roles{0})",
    ", ",
    *("id", "version", "display_name", "email", "locale", "department", "roles"),
    distinct=True,
)


def put(connection: Connection, accounts: Mapping[str, tuple[Profile, str, int]]) -> set[str]:
    """Stores profile, roles and next version by id; the ids of those that are at the version before that.

    What holds the quota: it makes every older reading stale. New accounts begin with version 1. In order of id: no
    two transactions wait for each other.
    """
    rows = [
        (id_, version, profile.display_name, profile.email, profile.locale, profile.department, roles)
        for id_, (profile, roles, version) in sorted(accounts.items())
    ]
    return {row[0] for row in _PUT.execute(connection, rows)}


def lock_account(connection: Connection, account_id: str) -> AccountState:
    """An account that exists, without its history, locked until the transaction ends."""
    query = sa.select(ACCOUNT).where(ACCOUNT.c.account_id == account_id).with_for_update()
    row = connection.execute(query).mappings().one()
    return AccountState(row["version"], row["event_seq"], to_organizer(row), row["roles"].split())


def to_organizer(row: RowMapping) -> Profile:
    return Profile(
        account_id=row["account_id"],
        display_name=row["display_name"],
        email=row["email"],
        locale=row["locale"],
        department=row["department"],
    )


class StaleError(Exception):
    """Somebody else was faster: read again."""


def advance(connection: Connection, account_id: str, version: int) -> None:
    """Makes every older reading of the account stale. Raises StaleError when this one is."""
    c = ACCOUNT.c
    unchanged = (c.account_id == account_id) & (c.version == version)
    if not connection.execute(sa.update(ACCOUNT).where(unchanged).values(version=version + 1)).rowcount:
        raise StaleError


def store_events(connection: Connection, account_id: str, event_seq: int, events: list[Event]) -> None:
    mine = ACCOUNT.c.account_id == account_id
    connection.execute(sa.update(ACCOUNT).where(mine).values(event_seq=event_seq + len(events)))
    outbox.append(connection, events)
