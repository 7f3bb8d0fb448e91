"""The tables that booking owns. Its walls against overlaps, a trigger and a constraint, stand in migrations/.

All times are epoch milliseconds. Messages that are stored whole are serialized protobuf.
"""

from typing import Any

import sqlalchemy as sa
from sqlmodel import CheckConstraint, Field, Index, SQLModel

from services.platform.clock import DAY
from services.platform.data import audit
from services.platform.messaging import outbox

LONGEST = DAY
HOLDS_ROOM = "state IN ('CONFIRMED', 'IN_USE')"
COUNTS_OFTEN = "former_starts IS NOT NULL OR escalate_time IS NOT NULL"
"""At other moments, too, than its start."""
HOLDS_MEETING = "state IN ('PENDING_APPROVAL', 'CONFIRMED', 'IN_USE') AND meeting_id <> ''"


def time_column(**options: Any) -> Any:
    return Field(sa_type=sa.BigInteger, **options)


def message_column() -> Any:
    return Field(sa_type=sa.LargeBinary)


class Account(SQLModel, table=True):
    """Who is charged. `version` advances with everything that the quota or the standing rests on."""

    account_id: str = Field(primary_key=True)
    version: int
    event_seq: int = Field(description="number of the account's events so far")
    display_name: str
    email: str
    locale: str
    department: str
    roles: str = Field(description="space separated")


class Room(SQLModel, table=True):
    room_id: str = Field(primary_key=True)
    display_name: str
    capacity: int
    enabled: bool


class Reservation(SQLModel, table=True):
    __table_args__ = (
        CheckConstraint(f"start_time < end_time AND end_time - start_time <= {LONGEST}", name="reservation_interval"),
        CheckConstraint(f"NOT ({HOLDS_ROOM}) OR room_id IS NOT NULL", name="reservation_room"),
        Index("reservation_account", "account_id", "start_time", "reservation_id"),
        Index("reservation_account_state", "account_id", "state", "start_time", "reservation_id"),
        Index("reservation_often", "account_id", "start_time", sqlite_where=sa.text(COUNTS_OFTEN)),
        Index("reservation_start", "start_time", "reservation_id"),
        Index("reservation_state", "state", "start_time", "reservation_id"),  # what is open, among all that ever was
        *(
            Index(name, *columns, sqlite_where=sa.text(HOLDS_ROOM))
            for name, columns in (
                ("reservation_holding", ("room_id", "end_time")),
                ("reservation_held", ("start_time", "end_time", "room_id", "reservation_id")),
            )
        ),
        Index(  # one live reservation at most for each occurrence
            "reservation_meeting",
            *("meeting_id", "sub_meeting_id", "provider"),
            unique=True,
            sqlite_where=sa.text(HOLDS_MEETING),
        ),
    )

    reservation_id: str = Field(primary_key=True)
    version: int
    state: str
    account_id: str
    created_by: str
    meeting_code: str
    subject: str
    start_time: int = time_column()
    end_time: int = time_column()
    participant_count: int
    room_id: str | None = Field(default=None, foreign_key="room.room_id")
    create_time: int = time_column()
    update_time: int = time_column()
    enter_time: int | None = time_column(default=None)
    cancel_time: int | None = time_column(default=None)
    early_enter_time: int | None = time_column(default=None, description="when somebody looked in before that counted")
    attendance_start_time: int | None = time_column(default=None, description="who is inside from then on has come")
    release_time: int | None = time_column(default=None, description="when it is released if nobody enters")
    former_starts: str | None = Field(default=None, sa_type=sa.Text, description="JSON, as commitments.py writes it")
    decision_id: str
    note: str
    provider: str = Field(default="", description="who holds the meeting; empty: it was not looked up")
    meeting_id: str = Field(default="", description="its id there; the number is used again and is no key")
    sub_meeting_id: str = Field(default="", description="which occurrence; empty for a meeting that takes place once")
    meeting_state: str = Field(default="", description="as last seen")
    meeting_start_time: int | None = time_column(default=None, description="planned, as last seen")
    meeting_end_time: int | None = time_column(default=None)
    attendance: str = Field(default="", description="what the gateway said: KNOWN, UNKNOWN, or empty: not asked")
    ask_time: int | None = time_column(default=None, description="when it was asked last")
    ask_count: int = Field(default=0)
    unknown_reason: str = Field(default="")
    resolved_by: str = Field(default="", description="who approved or declined it")
    escalate_time: int | None = time_column(default=None, description="when support was asked, whatever came of that")
    making_id: str | None = Field(default=None, description="as which its meeting was made with it; NULL: it was not")


class OwedMaking(SQLModel, table=True):
    """What is owed to the provider about a meeting that is made here. makings.py says what, and writes it."""

    __tablename__ = "owed_making"
    __table_args__ = (
        Index("owed_making_due", "due_time"),
        Index("owed_making_request", "actor", "request_id", unique=True, sqlite_where=sa.text("state = 'OPEN'")),
    )

    making_id: str = Field(primary_key=True)
    state: str
    due_time: int = time_column(description="when it is seen to, in real time; 0: at once")
    attempts: int = Field(default=0)
    held_by: str = Field(default="", description="who asks the provider about it just now; empty: nobody")
    actor: str = Field(default="", description="whose request it is for, while it is OPEN")
    request_id: str = Field(default="")
    body_hash: bytes = message_column()
    reservation_id: str = Field(default="", description="where the meeting belongs, of ALIGN")


class PoolChange(SQLModel, table=True):
    """What was held or freed, written by the database's own triggers, numbered in the order of commits.

    The latest 10,000 numbers or some more are kept, always at least one. An empty `room_id`: rooms themselves changed.
    """

    __tablename__ = "pool_change"

    number: int | None = Field(
        default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite")
    )
    room_id: str
    start_time: int = time_column()
    end_time: int = time_column()
    held: bool


class Decision(SQLModel, table=True):
    """Every question that was decided, refused ones too: the audit trail, the statistics and the replay."""

    __table_args__ = (Index("decision_reservation", "reservation_id", "action"),)

    decision_id: str = Field(primary_key=True)
    action: str
    account_id: str
    actor: str
    time: int = time_column()
    effect: str
    policy_version: str
    reservation_id: str | None
    request: bytes = message_column()
    decision: bytes = message_column()


class StoredAnswer(SQLModel, table=True):
    """What was answered under an idempotency key."""

    __tablename__ = "answer"

    actor: str = Field(primary_key=True)
    request_id: str = Field(primary_key=True)
    body_hash: bytes = message_column()
    response: bytes = message_column()


class Violation(SQLModel, table=True):
    __table_args__ = (
        Index("violation_account", "account_id", "violation_time"),
        Index("violation_objection", "objection_order", "violation_id"),
    )

    violation_id: str = Field(primary_key=True)
    account_id: str
    reservation_id: str = Field(unique=True)
    violation_time: int = time_column()
    decision_id: str
    waived: bool
    waived_by: str = Field(default="")
    waive_note: str = Field(default="")
    waive_time: int | None = time_column(default=None)
    waive_lifted: bool = Field(default=False, description="whether waiving it lifted the suspension")
    suspension_id: str | None = Field(default=None, description="used it up, unless lifted")
    objection_text: str = Field(default="", sa_type=sa.Text)
    objection_time: int | None = time_column(default=None)
    objection_outcome: str = Field(default="", description="OPEN, UPHELD, DISMISSED, or empty: nobody objected")
    objection_answered_by: str = Field(default="")
    objection_answer_note: str = Field(default="")
    objection_answer_time: int | None = time_column(default=None)
    objection_order: int | None = time_column(
        default=None, description="objection_time; much later when it is answered"
    )


class Suspension(SQLModel, table=True):
    __table_args__ = (Index("suspension_account", "account_id", "end_time"),)

    suspension_id: str = Field(primary_key=True)
    account_id: str
    start_time: int = time_column()
    end_time: int = time_column()
    decision_id: str
    lift_time: int | None = time_column(default=None)


class Deadline(SQLModel, table=True):
    """Something that happens at due_time unless the row is gone by then. Taking the row away is doing it once."""

    __table_args__ = (Index("deadline_due", "due_time"), Index("deadline_account", "account_id", "due_time"))

    kind: str = Field(primary_key=True)
    entity_id: str = Field(primary_key=True)
    account_id: str
    due_time: int = time_column()


class DirectoryMember(SQLModel, table=True):
    """What the directory says of an account. Of one that was removed the version stays: what is older is no news."""

    __tablename__ = "directory_member"

    account_id: str = Field(primary_key=True)
    version: int
    department_id: str = Field(description="the main one; empty when there is none")
    account_type: int = Field(description="yunhui.directory.v1.AccountType")
    verified: bool
    status: int = Field(description="yunhui.directory.v1.MemberStatus; 0: it was removed")


class DirectoryMembership(SQLModel, table=True):
    """That a member belongs to a department, the main one or another."""

    __tablename__ = "directory_membership"
    __table_args__ = (Index("directory_membership_department", "department_id", "account_id"),)

    account_id: str = Field(primary_key=True)
    department_id: str = Field(primary_key=True)


class DirectoryDepartment(SQLModel, table=True):
    """A department as the directory has it. Of one that was removed the version stays."""

    __tablename__ = "directory_department"
    __table_args__ = (Index("directory_department_parent", "parent_id"),)

    department_id: str = Field(primary_key=True)
    version: int
    parent_id: str = Field(description="empty at the top")
    display_name: str
    path: str = Field(description="ids from the top down to its own, with / between them; empty: it was removed")
    names: str = Field(description="the same in names")


class CalendarFeed(SQLModel, table=True):
    """Somebody's calendar for whoever has the secret."""

    __tablename__ = "calendar_feed"

    account_id: str = Field(primary_key=True)
    secret_hash: bytes = Field(sa_type=sa.LargeBinary, unique=True, description="SHA-256; the secret is not kept")
    create_time: int = time_column()
    fetch_time: int | None = time_column(default=None, description="to the minute")


TABLES: list[type[SQLModel]] = [
    *(Account, Room, Reservation, PoolChange, Decision, StoredAnswer, Violation, Suspension, Deadline, CalendarFeed),
    OwedMaking,
    *(DirectoryMember, DirectoryMembership, DirectoryDepartment),
    *outbox.TABLES,
    *audit.TABLES,
]

_tables = {str(each.__tablename__): SQLModel.metadata.tables[str(each.__tablename__)] for each in TABLES}
ACCOUNT, ROOM, RESERVATION = _tables["account"], _tables["room"], _tables["reservation"]
POOL_CHANGE = _tables["pool_change"]
DECISION, ANSWER, DEADLINE = _tables["decision"], _tables["answer"], _tables["deadline"]
VIOLATION, SUSPENSION = _tables["violation"], _tables["suspension"]
OWED_MAKING = _tables["owed_making"]
CALENDAR_FEED = _tables["calendar_feed"]
DIRECTORY_MEMBER, DIRECTORY_DEPARTMENT = _tables["directory_member"], _tables["directory_department"]
DIRECTORY_MEMBERSHIP = _tables["directory_membership"]
