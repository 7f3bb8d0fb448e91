"""Cloud recordings, and what a provider that has them can be asked, in words that belong to none of them.

Times are epoch milliseconds. A recording is of one meeting and has any number of files. Addresses by which one can see
it are never part of it: they are asked for, told and forgotten.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from services.meetings.provider import ProviderError
from services.platform.clock import DAY

LONGEST_WINDOW = 31 * DAY
"""What a provider looks at once."""


class RecordingState(StrEnum):
    UNKNOWN = "UNSPECIFIED"
    RECORDING = "RECORDING"
    TRANSCODING = "TRANSCODING"
    READY = "READY"
    DELETED = "DELETED"


class Audience(StrEnum):
    """Who may open the shared link."""

    NOBODY = "NOBODY"
    PARTICIPANTS = "PARTICIPANTS"
    ORGANIZATION = "ORGANIZATION"
    ANYBODY = "ANYBODY"


@dataclass(frozen=True, slots=True)
class RecordingKey:
    """`start_time`: when the meeting began, for providers find a recording only within a window of time."""

    provider: str
    meeting_id: str
    recording_id: str
    start_time: int


@dataclass(frozen=True, slots=True)
class RecordingFile:
    file_id: str
    start_time: int
    end_time: int | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """`files` None: the provider does not tell them here. `creator` "": it does not tell who made the meeting."""

    key: RecordingKey
    state: RecordingState
    meeting_code: str
    subject: str
    creator: str
    files: tuple[RecordingFile, ...] | None = None
    sub_meeting_id: str = ""


@dataclass(frozen=True, slots=True)
class RecordingPage:
    """Some of a list; the next page has the number `next_page`, 0 is the end of all."""

    recordings: tuple[Recording, ...]
    next_page: int
    total: int


@dataclass(frozen=True, slots=True)
class RecordingQuery:
    """Of meetings that began within [since, until), at most LONGEST_WINDOW. What is "" may be any.

    `creator` is an account, and what it is not allowed to see is not told; with "" the organization is asked.
    """

    since: int
    until: int
    creator: str = ""
    meeting_id: str = ""
    meeting_code: str = ""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who may see it. `expire_time` None is always. The password is set and never told: has_password is."""

    audience: Audience
    has_password: bool = False
    expire_time: int | None = None
    may_download: bool = False


@dataclass(frozen=True, slots=True)
class FileLinks:
    """Where one file can be seen; "" where it cannot. Secret, so it does not show itself."""

    file_id: str
    play: str = field(default="", repr=False)
    download: str = field(default="", repr=False)
    audio: str = field(default="", repr=False)
    expire_time: int | None = None


@dataclass(frozen=True, slots=True)
class RecordingLinks:
    """All files, and the shared link with its password. Secret, likewise."""

    files: tuple[FileLinks, ...]
    share: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class NoSuchRecordingError(ProviderError):
    """It does not exist, or not any more, or is not one that the account may see: providers do not say which."""

    reason = "NO_SUCH_RECORDING"


class RecordingProvider(Protocol):
    """A provider of meetings that has recordings. Every method raises ProviderError, in bounded time.

    `creator`, an account, is on whose behalf it is asked; "" is the organization's.
    """

    async def recordings(self, query: RecordingQuery, page: int) -> RecordingPage:
        """From page 1 on, whole or not at all."""
        ...

    async def recording(self, key: RecordingKey, creator: str) -> Recording:
        """With its files. Raises NoSuchRecordingError also for one that is of another meeting than the key says."""
        ...

    async def sharing(self, key: RecordingKey, creator: str) -> Sharing:
        """Raises NoSuchRecordingError."""
        ...

    async def recording_links(self, key: RecordingKey, creator: str) -> RecordingLinks:
        """Just now. Raises NoSuchRecordingError, WrongStateError before it is READY."""
        ...

    async def share_recording(self, key: RecordingKey, sharing: Sharing, password: str, creator: str) -> None:
        """Once; never again by itself. Raises NoSuchRecordingError, WrongStateError."""
        ...

    async def delete_recording(self, key: RecordingKey, file_id: str, creator: str) -> None:
        """All of it, or one file; once. Raises NoSuchRecordingError, WrongStateError while it is being recorded."""
        ...
