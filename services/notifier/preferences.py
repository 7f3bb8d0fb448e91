"""Which notices an account gets: some it may switch off, and some it must get."""

from collections.abc import Collection, Mapping, Sequence, Set

from sqlalchemy.engine import Connection
from sqlmodel import col, delete

from services.notifier.events import BookingEvent
from services.notifier.models import OptOut
from services.platform.data.database import ForEach
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import message

OPTIONAL = ("confirmation", "change", "own_cancellation", "reminder", "pending", "waived")
MANDATORY = (
    *("cancellation", "declined", "expired", "release", "violation", "dismissed", "suspension"),
    *("handed_over", "taken_over"),
    *("escalation", "withdrawn", "objection", "digest"),
)
"""A cancellation by somebody else, and so on: who does not hear of these stands before a locked door."""

OptedOut = Set[tuple[str, str]]
"""Account and notice."""
_OPTED_OUT = ForEach(
    "SELECT account_id, notice FROM opt_out WHERE account_id IN ({0})", ":account_id{0}", ", ", "account_id"
)


def notice_of(event: BookingEvent, kind: str) -> str:
    """The name under which a message of this kind can be switched off. `kind` may carry a number: "escalation-2"."""
    notice = kind.partition("-")[0]
    own = event.body.actor == event.account_id
    return "own_cancellation" if notice == "cancellation" and own else notice


def is_wanted(opted_out: OptedOut, account_id: str, notice: str) -> bool:
    return notice not in OPTIONAL or (account_id, notice) not in opted_out


def opted_out(connection: Connection, account_ids: Collection[str]) -> OptedOut:
    """What these accounts do not want. Asked for all mails, so it is a prepared statement."""
    rows = _OPTED_OUT.execute(connection, [(each,) for each in account_ids]) if account_ids else ()
    return {(account_id, notice) for account_id, notice in rows}


def switched_off(connection: Connection, account_id: str) -> set[str]:
    return {notice for _, notice in opted_out(connection, [account_id])}


def update(connection: Connection, account_id: str, wishes: Mapping[str, bool], now: int) -> None:
    """All or none. What is not named stays."""
    named = (col(OptOut.account_id) == account_id, col(OptOut.notice).in_(wishes))
    off = [notice for notice, enabled in wishes.items() if not enabled]
    with open_session(connection) as session:
        session.exec(delete(OptOut).where(*named))
        session.add_all(OptOut(account_id=account_id, notice=notice, create_time=now) for notice in off)


def check(wishes: Sequence[tuple[str, bool]]) -> Mapping[str, bool]:
    """Raises errors.RpcError that names the field. The last of several wishes about one notice holds."""
    for number, (notice, enabled) in enumerate(wishes):
        field = f"notices[{number}]"
        if notice not in (*OPTIONAL, *MANDATORY):
            raise errors.invalid(
                f"{field}.notice",
                message("is not one of: {notices}", notices=(*OPTIONAL, *MANDATORY)),
            )
        if notice in MANDATORY and not enabled:
            raise errors.invalid(
                f"{field}.enabled",
                message(
                    "'{notice}' is mandatory and cannot be switched off; {others} can",
                    notice=notice,
                    others=tuple(OPTIONAL),
                ),
            )
    return {notice: enabled for notice, enabled in wishes if notice in OPTIONAL}
