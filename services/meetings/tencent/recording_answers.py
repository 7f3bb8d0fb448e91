"""What Tencent's REST API answers about recordings, as far as it is read. Their names are plain text."""

from typing import Annotated

from pydantic import Field

from services.meetings.tencent.answers import Number, NumberedPage, TencentAnswer

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
DONE, RECORDING, TRANSCODING = 3, 1, 2


class RecordFile(TencentAnswer):
    """Milliseconds and bytes. What is said of sharing is there only while it is shared."""

    record_file_id: Id
    record_start_time: Number = 0
    record_end_time: Number = 0
    record_size: Number = 0
    sharing_state: Number = 0
    sharing_url: str = Field("", repr=False)
    password: str = Field("", repr=False)
    required_participant: bool = False


class RecordMeeting(TencentAnswer):
    """Of one sitting; which occurrence of a recurring meeting is not told."""

    meeting_record_id: Id
    meeting_id: Id
    meeting_code: str = ""
    subject: str = ""
    userid: str = ""
    media_start_time: Number = 0
    state: Number = 0
    record_files: list[RecordFile] | None = None


class RecordMeetings(NumberedPage[RecordMeeting]):
    rows: list[RecordMeeting] = Field([], validation_alias="record_meetings")


class FileAddress(TencentAnswer):
    record_file_id: Id
    view_address: str = Field("", repr=False)
    download_address: str = Field("", repr=False)
    audio_address: str = Field("", repr=False)


class FileAddresses(NumberedPage[FileAddress]):
    meeting_record_id: str
    rows: list[FileAddress] = Field([], validation_alias="record_files")


class SharingConfig(TencentAnswer):
    """`share_scope` 1: of the same enterprise."""

    enable_sharing: bool
    share_scope: Number = 0
    enable_password: bool = False
    password: str = Field("", repr=False)
    enable_sharing_expire: bool = False
    sharing_expire: Number = 0
    allow_download: bool = False


class RecordSettings(TencentAnswer):
    """Required: an empty object must not be taken for "not shared"."""

    meeting_id: str = ""
    sharing_config: SharingConfig
