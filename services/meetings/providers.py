"""The providers in use: what each brings to the program, and which of them a question goes to."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from services.meetings import routes
from services.meetings.provider import MeetingKey, NoSuchMeetingError, Provider
from services.meetings.recordings import RecordingProvider
from services.meetings.steering import Act
from services.platform.serving import rpc


async def nothing() -> None:
    """There is nothing to be closed."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One provider, ready to be asked."""

    provider: Provider
    servicers: Mapping[str, rpc.Add] = field(default_factory=dict)
    """gRPC services that there are only with it, by full name."""
    webhooks: Sequence[BaseRoute] = ()
    """Where it calls us, see webhooks.app."""
    close: Callable[[], Awaitable[None]] = nothing
    """When nobody asks it any more."""
    recordings: RecordingProvider | None = None
    """None when it has none."""


class Providers:
    """A number goes to whom it leads to, a question about a meeting to whoever found it.

    `by_prefix`: to whom numbers that begin so lead; "" is the default.
    """

    def __init__(self, by_prefix: Mapping[str, Provider]) -> None:
        self._by_prefix = by_prefix
        self._by_name = {each.name: each for each in by_prefix.values()}

    @property
    def default(self) -> Provider:
        """Whose organization ours is."""
        return self._by_prefix[""]

    @property
    def names(self) -> Collection[str]:
        return self._by_name.keys()

    def all(self) -> Collection[Provider]:
        return self._by_name.values()

    def acts_of(self, key: MeetingKey) -> frozenset[type[Act]]:
        """What can be done to a meeting; nothing when its provider is not in use."""
        return self._by_name[key.provider].acts if key.provider in self._by_name else frozenset()

    def of_number(self, meeting_code: str) -> Provider:
        return routes.lead(self._by_prefix, meeting_code)

    def of_meeting(self, key: MeetingKey) -> Provider:
        """Wherever its number leads today. Raises NoSuchMeetingError for a provider that is not in use."""
        if key.provider not in self._by_name:
            raise NoSuchMeetingError(f"a meeting of {key.provider!r} while {', '.join(self._by_name)} is in use")
        return self._by_name[key.provider]
