"""The gateway's tables: what was reported, once each, and the meetings of the simulated provider.

Times are epoch milliseconds.
"""

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel

from services.meetings import ledger_models
from services.platform.data import audit
from services.platform.messaging import outbox


class WebhookEventRow(SQLModel, table=True):
    """Something that a provider reported. `natural_key` is what it was: however often it arrives, it is one row."""

    __tablename__ = "report"
    __table_args__ = (Index("report_meeting", "provider", "meeting_id", "sub_meeting_id", "kind"),)

    natural_key: str = Field(primary_key=True, description="SHA-256 in hex")
    kind: str
    provider: str
    meeting_id: str
    sub_meeting_id: str
    event_time: int = Field(sa_type=sa.BigInteger, description="when it happened, as the provider says")
    receive_time: int = Field(sa_type=sa.BigInteger)


class MeetingSequence(SQLModel, table=True):
    """How many events of a meeting were published, and how recent the last change is that was told."""

    __tablename__ = "meeting_sequence"

    entity_id: str = Field(primary_key=True)
    last_seq: int
    change_time: int = Field(sa_type=sa.BigInteger)


class SimulatedMeeting(SQLModel, table=True):
    """`ended` and `cancelled` are for good: the number is free again."""

    __tablename__ = "simulated_meeting"

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    meeting_code: str = Field(index=True)
    subject: str
    creator: str
    start_time: int = Field(sa_type=sa.BigInteger)
    end_time: int = Field(sa_type=sa.BigInteger)
    ended: bool = False
    cancelled: bool = False


class SimulatedOccurrence(SQLModel, table=True):
    """One time of a recurring meeting, numbered from 1; a meeting that takes place once has none."""

    __tablename__ = "simulated_occurrence"

    meeting_id: int = Field(primary_key=True, foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    number: int = Field(primary_key=True)
    start_time: int = Field(sa_type=sa.BigInteger)
    end_time: int = Field(sa_type=sa.BigInteger)
    ended: bool = False
    cancelled: bool = False


class SimulatedVisit(SQLModel, table=True):
    """One stay of one person, at one device, in the meeting itself; `leave_time` is null while inside."""

    __tablename__ = "simulated_visit"

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    meeting_id: int = Field(foreign_key="simulated_meeting.id", index=True, sa_type=sa.BigInteger)
    occurrence: int = Field(
        default=0,
        sa_column_kwargs={"server_default": "0"},
        description="its number; 0 for a meeting that takes place once",
    )
    account: str = Field(description="empty for a guest")
    enter_time: int = Field(sa_type=sa.BigInteger)
    leave_time: int | None = Field(default=None, sa_type=sa.BigInteger)
    person_id: str = Field(default="", sa_column_kwargs={"server_default": sa.text("''")}, description="of Target")
    display_name: str = Field(default="", sa_column_kwargs={"server_default": sa.text("''")})
    terminal: str = Field(
        default="", sa_column_kwargs={"server_default": sa.text("''")}, description="a word of people.Device"
    )
    role: str = Field(
        default="MEMBER", sa_column_kwargs={"server_default": "MEMBER"}, description="a word of people.Role"
    )
    microphone: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    camera: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    sharing: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    connection: str = Field(
        default="USUAL",
        sa_column_kwargs={"server_default": "USUAL"},
        description="a word of simulated_quality.NetworkState",
    )


class SimulatedWaiting(SQLModel, table=True):
    """Somebody who is in the waiting room now."""

    __tablename__ = "simulated_waiting"
    __table_args__ = (Index("simulated_waiting_meeting", "meeting_id", "occurrence"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    meeting_id: int = Field(foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    occurrence: int
    account: str = Field(description="empty for a guest")
    person_id: str
    display_name: str
    terminal: str
    enter_time: int = Field(sa_type=sa.BigInteger)


class SimulatedSettings(SQLModel, table=True):
    """What a meeting is like while it runs, as steering.ChangeSettings says; none is as these defaults."""

    __tablename__ = "simulated_settings"

    meeting_id: int = Field(primary_key=True, foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    occurrence: int = Field(primary_key=True)
    mute_all: bool = False
    may_unmute: bool = True
    mute_on_entry: str = "OFF"
    locked: bool = False
    waiting_room: bool = False
    hide_number: bool = False
    organization_only: bool = False
    may_share: bool = True
    chat: str = "FREE"
    red_envelopes: bool = True
    entry_sound: bool = False


class SimulatedPlan(SQLModel, table=True):
    """How a meeting is to be that was made here; what is set while it runs counts until the last one leaves."""

    __tablename__ = "simulated_plan"

    meeting_id: int = Field(primary_key=True, foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    making_id: str = Field(unique=True)
    hosts: str = Field(sa_type=sa.Text, description="JSON list of accounts beside the creator")
    waiting_room: bool
    enter_before_host: bool
    organization_only: bool
    mute_on_entry: bool


class SimulatedRemoval(SQLModel, table=True):
    """Somebody who may not come back."""

    __tablename__ = "simulated_removal"

    meeting_id: int = Field(primary_key=True, foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    occurrence: int = Field(primary_key=True)
    person_id: str = Field(primary_key=True)


class SimulatedInvitation(SQLModel, table=True):
    """An account that was invited to a meeting, all its occurrences."""

    __tablename__ = "simulated_invitation"

    meeting_id: int = Field(primary_key=True, foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    account: str = Field(primary_key=True)


TABLES: list[type[SQLModel]] = [
    WebhookEventRow,
    MeetingSequence,
    SimulatedMeeting,
    SimulatedOccurrence,
    SimulatedVisit,
    SimulatedWaiting,
    SimulatedSettings,
    SimulatedPlan,
    SimulatedRemoval,
    SimulatedInvitation,
    *ledger_models.TABLES,
    *outbox.TABLES,
    *audit.TABLES,
]
