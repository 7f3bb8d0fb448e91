"""Tables about recordings: what was done to them, and those of the simulated provider. Times are epoch milliseconds.

Nothing by which one could see a recording is in the first; the second is for development.
"""

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel


class RecordingActRow(SQLModel, table=True):
    """One act. Stored before the provider is asked, with `outcome` "": under way."""

    __tablename__ = "recording_act"
    __table_args__ = (
        Index("recording_act_request", "actor", "request_id", unique=True),
        Index("recording_act_recording", "provider", "meeting_id", "recording_id", "create_time", "act_id"),
        Index("recording_act_pending", "give_up_time", sqlite_where=sa.text("outcome = ''")),
    )

    act_id: str = Field(primary_key=True)
    actor: str
    roles: str
    method: str = Field(description="full name of the RPC")
    request_id: str
    order_hash: bytes = Field(description="of the request but its password")
    provider: str
    meeting_id: str
    recording_id: str
    file_id: str = Field(description="empty for all of it")
    start_time: int = Field(sa_type=sa.BigInteger, description="as in RecordingKey")
    meeting_code: str
    subject: str
    creator: str
    verb: str = Field(description="a word of RecordingVerb")
    audience: str = Field(description="of SHARE: a word of RecordingAudience")
    outcome: str
    refusal: str = ""
    provider_message: str = ""
    reason: str
    create_time: int = Field(sa_type=sa.BigInteger)
    finish_time: int | None = Field(default=None, sa_type=sa.BigInteger)
    give_up_time: int = Field(sa_type=sa.BigInteger, description="real time: whoever did it is gone then")


class SimulatedRecording(SQLModel, table=True):
    """What was recorded of a sitting of a simulated meeting, and who may see it."""

    __tablename__ = "simulated_recording"
    __table_args__ = (Index("simulated_recording_meeting", "meeting_id", "occurrence"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    meeting_id: int = Field(foreign_key="simulated_meeting.id", sa_type=sa.BigInteger)
    occurrence: int
    start_time: int = Field(sa_type=sa.BigInteger, index=True)
    audience: str = "NOBODY"
    password: str = ""
    expire_time: int | None = Field(default=None, sa_type=sa.BigInteger)
    may_download: bool = False


class SimulatedRecordingFile(SQLModel, table=True):
    """One stretch of it; `end_time` is null while it is being recorded."""

    __tablename__ = "simulated_recording_file"

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    recording_id: int = Field(foreign_key="simulated_recording.id", index=True, sa_type=sa.BigInteger)
    start_time: int = Field(sa_type=sa.BigInteger)
    end_time: int | None = Field(default=None, sa_type=sa.BigInteger)


TABLES: list[type[SQLModel]] = [RecordingActRow, SimulatedRecording, SimulatedRecordingFile]
ACT = SQLModel.metadata.tables["recording_act"]
