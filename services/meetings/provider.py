"""The port: what every provider of meetings can be asked, in words that belong to none of them.

Times are epoch milliseconds. Persons are accounts of ours; "" is somebody without one, such as a guest.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.meetings.people import PersonWaiting, Presence, Quality
from services.meetings.plans import MeetingPlan
from services.meetings.steering import Act


class MeetingState(StrEnum):
    """How things stand now. Says nothing about whether somebody came: who came and left leaves it SCHEDULED."""

    UNKNOWN = "UNSPECIFIED"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class MeetingKey:
    """Which meeting, or which occurrence of it. Never the number: numbers are used again."""

    provider: str
    meeting_id: str
    sub_meeting_id: str = ""

    @property
    def entity_id(self) -> str:
        return f"{self.provider}/{self.meeting_id}/{self.sub_meeting_id}"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time at which the meeting takes place: [start_time, end_time)."""

    sub_meeting_id: str
    start_time: int
    end_time: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    provider: str
    meeting_id: str
    meeting_code: str
    subject: str
    creator: str
    hosts: tuple[str, ...]
    state: MeetingState
    occurrences: tuple[Occurrence, ...]
    more_occurrences: bool = False
    recurring: bool = False

    def belongs_to(self, account: str) -> bool:
        """Its creator or a named host; one who was only invited, or is host for a while, is neither."""
        return bool(account) and (account == self.creator or account in self.hosts)


@dataclass(frozen=True, slots=True)
class MadeMeeting:
    """`join_url`: where to click to enter; "" when the provider does not tell."""

    meeting: Meeting
    join_url: str


@dataclass(frozen=True, slots=True)
class Stay:
    """One visit in the meeting itself, [enter_time, leave_time): `leave_time` is None while inside."""

    enter_time: int
    leave_time: int | None


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who entered the meeting itself, with all visits, one at least."""

    account: str
    display_name: str
    stays: tuple[Stay, ...]

    @property
    def enter_time(self) -> int:
        """First entered."""
        return min(each.enter_time for each in self.stays)

    @property
    def leave_time(self) -> int | None:
        """Last left; None while inside."""
        left = [each.leave_time for each in self.stays if each.leave_time is not None]
        return max(left) if len(left) == len(self.stays) else None


class Phase(StrEnum):
    """Which of the lists a meeting of the organization stands in."""

    COMING = "COMING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"


class MeetingKind(StrEnum):
    """How a meeting came about."""

    UNKNOWN = "UNSPECIFIED"
    SINGLE = "SINGLE"
    RECURRING = "RECURRING"
    INSTANT = "INSTANT"
    PERSONAL_ROOM = "PERSONAL_ROOM"
    WEBINAR = "WEBINAR"


@dataclass(frozen=True, slots=True)
class ListedMeeting:
    """One row of the organization's lists: an occurrence, as far as the list says.

    [start_time, end_time) is planned; of what has ENDED it is what was, and the same occurrence may be listed several
    times, once for each time that people were in. `people`: inside now, or came; None where the list does not say.
    """

    key: MeetingKey
    phase: Phase
    meeting_code: str
    subject: str
    creator: str
    creator_name: str
    kind: MeetingKind
    start_time: int
    end_time: int
    people: int | None = None


@dataclass(frozen=True, slots=True)
class MeetingPage:
    """Some of a list; the next page has the number `next_page`, 0 is the end of all."""

    meetings: tuple[ListedMeeting, ...]
    next_page: int
    total: int


class UserStatus(StrEnum):
    """How an account stands at the provider."""

    UNKNOWN = "UNSPECIFIED"
    ENABLED = "ENABLED"
    NOT_ACTIVATED = "NOT_ACTIVATED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class OrganizationUser:
    """Somebody of the organization, as the provider knows them; what it does not say is empty.

    `account`: which of ours that is. `departments`: names from the top down, the main one first. `advanced`: whether
    the account takes a licence.
    """

    user_id: str
    account: str
    display_name: str = ""
    email: str = ""
    phone: str = ""
    title: str = ""
    staff_id: str = ""
    departments: tuple[tuple[str, ...], ...] = ()
    status: UserStatus = UserStatus.UNKNOWN
    advanced: bool | None = None


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some of them; `next_position` "" is the end of all."""

    users: tuple[OrganizationUser, ...]
    next_position: str = ""


class ProviderError(Exception):
    """The provider gave no answer of use. The message is for logs and holds nothing secret."""

    reason = "PROVIDER_REFUSED"


class AwayError(ProviderError):
    """Nobody can say now: later it may be different. `retry_seconds` is when to ask again at the earliest."""

    reason = "PROVIDER_AWAY"
    retry_seconds = 5


class NotAskedError(AwayError):
    """The question never got there: nothing was done."""


class MisconfiguredError(AwayError):
    """It does not accept us: clock, ids or keys. Somebody must mend it; then the same question gets its answer."""

    retry_seconds = 60


class RateLimitedError(AwayError):
    """The provider, or our own restraint, allows no more calls for the moment."""

    reason = "RATE_LIMITED"

    def __init__(self, message: str, retry_seconds: int = 60) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class NoSuchMeetingError(ProviderError):
    """It does not exist, or is not one that we may see: providers do not say which."""

    reason = "NO_SUCH_MEETING"


class CancelledError(NoSuchMeetingError):
    """It was cancelled, and that is all the provider says."""


class NotPermittedError(ProviderError):
    """We may not ask this, or may not ask it about this meeting."""

    reason = "NOT_PERMITTED"


class NoSuchPageError(ProviderError):
    """Of a list, by what was said to follow the one before."""


class WrongStateError(ProviderError):
    """What was asked for cannot be done to the meeting as it is, for example because it has ended."""

    reason = "WRONG_STATE"


class NoSuchPersonError(ProviderError):
    """Who was meant has left, or never was there."""

    reason = "NO_SUCH_PERSON"


class UnsupportedError(ProviderError):
    """The provider has no way to do this, for anybody."""

    reason = "UNSUPPORTED"


class IncompleteError(ProviderError):
    """There is more than could be read: what was read must not be taken for all."""

    reason = "INCOMPLETE"


class Provider(Protocol):
    """Every method raises ProviderError, in bounded time."""

    name: str
    acts: frozenset[type[Act]]
    """Those that it can do."""
    people_a_call: int
    """So many of whoever is inside are told at once: what a look costs of what the provider allows."""

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        """The meeting that has the number now, asked by `account` (None: by us). Raises NoSuchMeetingError."""
        ...

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        """A meeting found before, whatever became of its number. Raises NoSuchMeetingError."""
        ...

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        """All who entered, past and present; at least those who were inside at or after `since`. Empty is nobody."""
        ...

    async def meetings(self, phase: Phase, since: int | None, until: int | None, page: int) -> MeetingPage:
        """Meetings of the organization, from page 1 on; those that touch [since, until)."""
        ...

    async def inside(self, key: MeetingKey) -> list[Presence]:
        """Who is inside now, all of them."""
        ...

    async def waiting(self, key: MeetingKey, creator: str) -> list[PersonWaiting]:
        """Who is in the waiting room now, all of them. `creator` as in `do`."""
        ...

    async def quality(self, key: MeetingKey) -> list[Quality]:
        """How well everybody inside is connected now. Raises WrongStateError when nobody is."""
        ...

    async def do(self, key: MeetingKey, act: Act, creator: str) -> None:
        """Once; never again by itself, for an answer that did not come may be to something done.

        On behalf of the account that made the meeting, "" when that is not known. Raises UnsupportedError for an act
        that is not of `acts`; WrongStateError when the meeting does not run; NoSuchPersonError.
        """
        ...

    async def make(self, plan: MeetingPlan, creator: str, making_id: str) -> MadeMeeting:
        """Once; never again by itself. The account `creator` is to have made it.

        Raises UnsupportedError, NoSuchPersonError; NotAskedError, RateLimitedError and MisconfiguredError when nothing
        was done. After any other AwayError it may have been made: `find_made`.
        """
        ...

    async def find_made(self, plan: MeetingPlan, creator: str, making_id: str) -> list[MadeMeeting]:
        """What such a `make` may have made, as far as can be seen now; others that look the same among it.

        Raises NoSuchMeetingError when it made nothing, for certain, and never will.
        """
        ...

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        """It takes place then, from now on. May be asked again. Raises WrongStateError when it runs or is over."""
        ...

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        """It takes place no more; fine when it is over, too. May be asked again. Raises WrongStateError while it runs,
        NoSuchMeetingError when there is none.
        """
        ...

    async def users(self, position: str) -> UserPage:
        """People of the organization, from `position` on as the page before says it; "" is the beginning."""
        ...
