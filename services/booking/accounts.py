"""Accounts and their past: what every decision rests on, and the version that every commit advances."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import Connection, RowMapping
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking import commitments, states
from services.booking.models import ACCOUNT
from services.platform.clock import DAY, to_timestamp
from services.platform.data.database import ForEach
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.text.messages import message

HISTORY = 35 * DAY  # contract of policy.v1.History: no policy may look back further

Profile = pb.Organizer


@dataclass(slots=True)
class AccountState:
    """An account as it stood when it was read. `version` 0: not known yet."""

    version: int = 0
    event_seq: int = 0
    profile: Profile | None = None
    roles: list[str] = field(default_factory=list)
    history: policy.History = field(default_factory=policy.History)
    overdue: bool = False
    """A deadline of the account is due and has not been dealt with: its standing is not known."""

    def charged(self, profile: Profile | None, roles: str) -> tuple[Profile, str]:
        """Profile and roles of the account as the token tells them, else as stored. Raises errors.not_found."""
        if profile:
            return profile, roles
        if self.profile is None:
            raise errors.not_found("account", message("there is no such account"))
        return self.profile, " ".join(self.roles)


_ACCOUNTS = ForEach(
    "SELECT account_id, version, event_seq, display_name, email, locale, department, roles FROM account"
    " WHERE account_id IN ({0})",
    ":id{0}",
    ", ",
    "id",
)

# One statement for what is kept in four tables: each costs more than its rows. A lifted suspension gives back the
# violations that it had used up.
_HISTORY = ForEach(
    "SELECT 'reservation', account_id, reservation_id, state, start_time, end_time, cancel_time, former_starts,"
    " escalate_time FROM reservation WHERE account_id IN ({0}) AND start_time >= :since"
    " UNION ALL SELECT 'violation', v.account_id, violation_id, '', violation_time, CASE WHEN waived THEN 1 ELSE 0 END,"
    " CASE WHEN s.suspension_id IS NOT NULL AND s.lift_time IS NULL THEN 1 ELSE 0 END, '', NULL"
    " FROM violation v LEFT JOIN suspension s ON s.suspension_id = v.suspension_id"
    " WHERE v.account_id IN ({0}) AND violation_time >= :since"
    " UNION ALL SELECT 'suspension', account_id, suspension_id, '', start_time, COALESCE(lift_time, end_time), 0, '',"
    " NULL FROM suspension WHERE account_id IN ({0}) AND end_time >= :since"
    " UNION ALL SELECT 'overdue', account_id, entity_id, kind, due_time, 0, 0, '', NULL"
    " FROM deadline WHERE account_id IN ({0}) AND due_time <= :now",
    ":id{0}",
    ", ",
    "id",
)


def read_accounts(connection: Connection, ids: Collection[str], now: int) -> dict[str, AccountState]:
    """The accounts with their raw history, as the policy wants it."""
    found: defaultdict[str, AccountState] = defaultdict(AccountState)
    keys = [(each,) for each in dict.fromkeys(ids)]
    for row in _ACCOUNTS.execute(connection, keys):
        state, account = found[row.account_id], row._mapping
        state.version, state.event_seq = account["version"], account["event_seq"]
        state.profile, state.roles = to_organizer(account), account["roles"].split()
    for row in _HISTORY.execute(connection, keys, since=now - HISTORY, now=now):
        _ADD[row[0]](found[row[1]], *row[2:])
    return found


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

_VERSIONS = sa.select(ACCOUNT.c.account_id, ACCOUNT.c.version).order_by(ACCOUNT.c.account_id).with_for_update()

_VERSIONS = _VERSIONS.where(ACCOUNT.c.account_id.in_(sa.bindparam("ids", expanding=True)))


def read_versions(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """The versions of the accounts, locked until the transaction ends (in order of id: no deadlock)."""
    return {row[0]: row[1] for row in connection.execute(_VERSIONS, {"ids": list(ids)})}


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
