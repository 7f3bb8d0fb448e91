"""Who came, where the ledger is sure of it: a question less to the provider, and never another answer.

Sure is that somebody came who was reported inside, and all that the provider's own list said after the time in
question. That nobody was reported is no evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from services.meetings import ledger
from services.meetings.ledger_models import VisitRow
from services.meetings.provider import MeetingKey, Participant, Phase, Stay
from services.platform.clock import MINUTE
from services.platform.data.rows import open_session

CLOCKS_DIFFER = MINUTE
"""At most, the provider's and ours."""


@dataclass(frozen=True, slots=True)
class Attested:
    """`whole`: all who were inside in the window, and not only some of them."""

    people: Sequence[Participant]
    whole: bool
    occupied: bool


def known(connection: Connection, key: MeetingKey, since: int, until: int) -> Attested | None:
    """Of [since, until) in epoch ms; None when nothing of it is sure."""
    with open_session(connection) as session:
        meeting = ledger.find(session, key)
        if meeting is None:
            return None
        whole = meeting.visits_since <= since and until + CLOCKS_DIFFER <= meeting.visits_until
        inside = select(VisitRow).where(VisitRow.meeting_row == meeting.id, col(VisitRow.enter_time) < until)
        sure = inside if whole else inside.where(_reported(since, until))
        rows = session.exec(sure.order_by(col(VisitRow.enter_time))).all()
        return Attested(_people(rows), whole, meeting.phase == Phase.RUNNING) if rows or whole else None


def _reported(since: int, until: int) -> sa.ColumnElement[bool]:
    """To have entered then, or left: both show somebody inside. What lies between may be two stays of which the end of
    the one and the beginning of the other were lost, so it shows nothing."""
    entered, left = col(VisitRow.enter_time), col(VisitRow.left_mark)
    return (entered >= since) | ((left > since) & (left <= until))


def _people(rows: Sequence[VisitRow]) -> list[Participant]:
    stays, names = dict[str, list[Stay]](), dict[str, tuple[str, str]]()
    for row in rows:
        if row.enter_time is not None:
            stays.setdefault(row.person, []).append(Stay(row.enter_time, row.leave_time))
            names[row.person] = (row.account, row.display_name)
    return [Participant(*names[person], tuple(found)) for person, found in stays.items()]
