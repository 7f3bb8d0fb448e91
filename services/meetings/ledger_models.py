"""The ledger's tables: the organization's meetings as they were heard of, who was inside, how well, what was done, and
which were made here.

Times are epoch milliseconds; 0 is "never heard". What a row is derived from stands in it beside what follows, so that
events may come late, twice and in any order: services/meetings/ledger.py.
"""

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel

LONGEST_SUBJECT = 500
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class MeetingCounter(SQLModel, table=True):
    """The last version that a row of `meeting` got. One row, held by whoever changes any until they are committed: so
    versions are committed in their order, and nobody who has seen one can miss a lower one."""

    __tablename__ = "meeting_counter"

    id: int = Field(default=1, primary_key=True)
    last_version: int = Field(sa_type=sa.BigInteger)


class MeetingRow(SQLModel, table=True):
    """One occurrence. The first block is its name and plan, the second what follows, the third what was heard."""

    __tablename__ = "meeting"
    __table_args__ = (
        Index("meeting_key", "provider", "meeting_id", "sub_meeting_id", unique=True),
        Index("meeting_version", "version"),
        # all that a list is filtered by stands in its index: a year is looked through without its rows
        Index("meeting_listed", "phase", "sort_time", "id", "begin_time", "over_time", "kind", "subject_folded"),
        Index("meeting_of_creator", "creator", "phase", "sort_time", "id"),
        Index("meeting_of_code", "meeting_code", "phase", "sort_time", "id"),
        Index("meeting_visits_due", "visits_due", sqlite_where=sa.text("visits_due > 0")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_ROW_ID)
    provider: str
    meeting_id: str
    sub_meeting_id: str
    meeting_code: str = ""
    subject: str = ""
    subject_folded: str = ""
    creator: str = ""
    creator_name: str = ""
    kind: str
    start_time: int = Field(default=0, sa_type=sa.BigInteger, description="planned; 0: not known")
    end_time: int = Field(default=0, sa_type=sa.BigInteger, description="planned; 0: not known")

    phase: str = ""
    sort_time: int = Field(default=0, sa_type=sa.BigInteger, description="by what its list is sorted")
    begin_time: int = Field(default=0, sa_type=sa.BigInteger, description="began, or is to begin")
    over_time: int = Field(default=0, sa_type=sa.BigInteger, description="ended, or is to end")
    actual_start: int | None = Field(default=None, sa_type=sa.BigInteger)
    actual_end: int | None = Field(default=None, sa_type=sa.BigInteger)
    inside_count: int = 0
    came_count: int = 0
    as_of: int = Field(default=0, sa_type=sa.BigInteger)
    version: int = Field(default=0, sa_type=sa.BigInteger)

    subject_time: int = Field(default=0, sa_type=sa.BigInteger, description="when its subject was told")
    times_time: int = Field(default=0, sa_type=sa.BigInteger, description="when its planned times were told")
    plan_time: int = Field(default=0, sa_type=sa.BigInteger, description="last planned anew, or listed as coming")
    coming_time: int = Field(default=0, sa_type=sa.BigInteger, description="last listed as coming")
    cancel_time: int = Field(default=0, sa_type=sa.BigInteger, description="last called off")
    first_sign: int = Field(default=0, sa_type=sa.BigInteger, description="first known that somebody was inside")
    entry_time: int = Field(default=0, sa_type=sa.BigInteger, description="last entry")
    nameless_time: int = Field(default=0, sa_type=sa.BigInteger, description="last entry that named nobody")
    empty_time: int = Field(default=0, sa_type=sa.BigInteger, description="last known that nobody was inside")
    ended_time: int = Field(default=0, sa_type=sa.BigInteger, description="last ended for everybody")
    listed_time: int = Field(default=0, sa_type=sa.BigInteger, description="last listed as running")
    listed_people: int | None = Field(default=None, description="inside then; NULL: not told")
    listed_came: int = Field(default=0, description="came, at least")
    listed_end: int = Field(default=0, sa_type=sa.BigInteger, description="last end in the list of ended ones")
    visits_due: int = Field(default=0, sa_type=sa.BigInteger, description="when to ask who came; 0: not; -1: in vain")
    visits_since: int = Field(default=0, sa_type=sa.BigInteger, description="visits that touch [since, until)")
    visits_until: int = Field(default=0, sa_type=sa.BigInteger, description="are the provider's own; 0: none are")
    visits_complete: bool = Field(default=False, description="and nobody was reported to enter since")


class VisitRow(SQLModel, table=True):
    """A stay, or the report of somebody's leaving without an entry (`enter_time` NULL). Of an empty `person`: of all.

    `left_mark` is what was reported, `leave_time` what follows from all reports; NULL while inside.
    """

    __tablename__ = "visit"
    __table_args__ = (
        Index("visit_entered", "meeting_row", "enter_time", "id"),
        Index("visit_of_person", "meeting_row", "person", "terminal"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_ROW_ID)
    meeting_row: int = Field(sa_type=sa.BigInteger)
    person: str = Field(description="the provider's id of them, else the account, else the name")
    terminal: str
    account: str
    display_name: str
    enter_time: int | None = Field(default=None, sa_type=sa.BigInteger)
    left_mark: int | None = Field(default=None, sa_type=sa.BigInteger)
    leave_time: int | None = Field(default=None, sa_type=sa.BigInteger)


class QualitySampleRow(SQLModel, table=True):
    """How well somebody was connected at one moment. Kept for a while."""

    __tablename__ = "quality_sample"
    __table_args__ = (
        Index("quality_sample_meeting", "meeting_row", "sample_time", "id"),
        Index("quality_sample_account", "meeting_row", "account", "sample_time", "id"),
        Index("quality_sample_time", "sample_time"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_ROW_ID)
    meeting_row: int = Field(sa_type=sa.BigInteger)
    sample_time: int = Field(sa_type=sa.BigInteger)
    person: str
    account: str
    display_name: str
    delay: float | None = Field(default=None, description="milliseconds")
    upstream_loss: float | None = Field(default=None, description="percent")
    downstream_loss: float | None = Field(default=None, description="percent")
    bad: bool


class SweepRow(SQLModel, table=True):
    """How far one list of one provider was read."""

    __tablename__ = "sweep"

    provider: str = Field(primary_key=True)
    phase: str = Field(primary_key=True)
    read_time: int = Field(sa_type=sa.BigInteger, description="when the last reading that came to the end began")


class ControlActRow(SQLModel, table=True):
    """One act. Stored before the provider is asked, with `outcome` "": under way."""

    __tablename__ = "control_act"
    __table_args__ = (
        Index("control_act_request", "actor", "request_id", unique=True),
        Index("control_act_meeting", "provider", "meeting_id", "sub_meeting_id", "create_time", "act_id"),
        Index("control_act_pending", "give_up_time", sqlite_where=sa.text("outcome = ''")),
    )

    act_id: str = Field(primary_key=True)
    actor: str
    roles: str
    method: str = Field(description="full name of the RPC")
    request_id: str
    order_hash: bytes
    provider: str
    meeting_id: str
    sub_meeting_id: str
    creator: str
    verb: str
    outcome: str
    refusal: str = ""
    provider_message: str = ""
    reason: str
    people: str = Field(sa_type=sa.Text, description="JSON list of names; personal data")
    create_time: int = Field(sa_type=sa.BigInteger)
    finish_time: int | None = Field(default=None, sa_type=sa.BigInteger)
    give_up_time: int = Field(sa_type=sa.BigInteger, description="real time: whoever did it is gone then")


class MakingRow(SQLModel, table=True):
    """A meeting that was asked for here, by the id that whoever asked gave it. Never its password.

    `state` is a word of makings.State; the first block is what was asked for, the second what came of it.
    """

    __tablename__ = "making"
    __table_args__ = (
        Index("making_meeting", "provider", "meeting_id", unique=True, sqlite_where=sa.text("meeting_id <> ''")),
    )

    making_id: str = Field(primary_key=True)
    creator: str = ""
    subject: str = ""
    start_time: int = Field(default=0, sa_type=sa.BigInteger)
    end_time: int = Field(default=0, sa_type=sa.BigInteger)
    hosts: str = Field(default="[]", sa_type=sa.Text, description="JSON list of accounts beside the creator")
    create_time: int = Field(sa_type=sa.BigInteger)

    state: str
    unwanted: bool = Field(default=False, description="there is to be no such meeting")
    provider: str = ""
    meeting_id: str = Field(default="", description="empty while it is not known")
    meeting_code: str = ""
    join_url: str = ""
    refusal: str = ""
    provider_message: str = ""
    known_row: int = Field(default=0, sa_type=sa.BigInteger, description="the last row of the ledger before that")
    ask_time: int = Field(default=0, sa_type=sa.BigInteger, description="real time: when the provider was asked")
    busy_until: int = Field(default=0, sa_type=sa.BigInteger, description="real time: whoever is at it is gone then")


TABLES: list[type[SQLModel]] = [
    MeetingCounter,
    MeetingRow,
    VisitRow,
    QualitySampleRow,
    SweepRow,
    ControlActRow,
    MakingRow,
]
MEETING = SQLModel.metadata.tables["meeting"]
COUNTER = SQLModel.metadata.tables["meeting_counter"]
VISIT = SQLModel.metadata.tables["visit"]
QUALITY = SQLModel.metadata.tables["quality_sample"]
SWEEP = SQLModel.metadata.tables["sweep"]
CONTROL_ACT = SQLModel.metadata.tables["control_act"]
MAKING = SQLModel.metadata.tables["making"]
