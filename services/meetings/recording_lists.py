"""Lists of recordings as the provider tells them: stretch by stretch of time, each page whole or not at all."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.meetings.provider import NoSuchMeetingError, NotPermittedError
from services.meetings.recording_requests import LONGEST_WINDOW
from services.meetings.recordings import LONGEST_WINDOW as STRETCH
from services.meetings.recordings import RecordingPage, RecordingProvider, RecordingQuery
from services.platform.clock import Clock
from services.platform.serving import pages

FRESH_SECONDS = 10.0
"""Providers allow few looks at all recordings: several who look at the same page, or one who goes back, share one."""
MOST_PAGES = 500
"""Remembered."""
MOST_CALLS = 4
"""Of one request, as long as nothing was found."""
EMPTY = RecordingPage((), 0, 0)


@dataclass(frozen=True, slots=True)
class ListPosition:
    """The page of a provider, counted from 0, in the stretch that ends at `until`; all begin at or after `since`."""

    since: int
    until: int
    provider: int = 0
    page: int = 1

    @property
    def stretch(self) -> tuple[int, int]:
        return max(self.since, self.until - STRETCH), self.until

    def after(self, page: RecordingPage, providers: int) -> "ListPosition | None":
        """None at the end of all."""
        if page.next_page:
            return replace(self, page=page.next_page)
        if self.provider + 1 < providers:
            return replace(self, provider=self.provider + 1, page=1)
        start, _ = self.stretch
        return ListPosition(self.since, start) if start > self.since else None

    def to_token(self) -> str:
        return pages.to_token(self.until, f"{self.since} {self.provider} {self.page}")


def from_token(token: str, providers: int) -> ListPosition | None:
    """None for the first page. Raises errors.invalid for what is not one of ours."""
    key = pages.from_token(token)
    if key is None:
        return None
    until, rest = key[0], key[1].split(" ")
    if len(rest) != 3 or not all(each.isascii() and each.isdigit() and len(each) < 16 for each in rest):
        raise pages.not_ours()
    since, provider, page = map(int, rest)
    if not 0 < until - since <= LONGEST_WINDOW or provider >= providers or not 0 < page < 10_000:
        raise pages.not_ours()
    return ListPosition(since, until, provider, page)


@dataclass(frozen=True, slots=True)
class FoundRecordings:
    """Some of a list: the last answer of a provider, as of epoch ms, and where to go on; None at its end."""

    page: RecordingPage
    as_of: int
    following: ListPosition | None


@dataclass(frozen=True, slots=True)
class _Asked:
    answer: "asyncio.Task[RecordingPage]"
    begun: float
    as_of: int


class RecordingLists:
    """Remembers each page for some seconds."""

    def __init__(self, clock: Clock, now: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._now = clock, now
        self._asked: dict[tuple[str, RecordingQuery, int], _Asked] = {}

    async def read(
        self, providers: Mapping[str, RecordingProvider], query: RecordingQuery, position: ListPosition
    ) -> FoundRecordings:
        """Goes on until something is found. Raises ProviderError."""
        names: Sequence[str] = list(providers)
        place: ListPosition | None = position
        found = FoundRecordings(EMPTY, self._clock.now(), None)
        for _ in range(MOST_CALLS):
            if place is None:
                break
            name, (since, until) = names[place.provider], place.stretch
            asked = self._ask(name, providers[name], replace(query, since=since, until=until), place.page)
            page = await asyncio.shield(asked.answer)
            place = place.after(page, len(names))
            found = FoundRecordings(page, asked.as_of, place)
            if page.recordings:
                break
        return found

    def forget(self) -> None:
        """Something was changed: whoever looks from now on asks anew."""
        self._asked.clear()

    def _ask(self, name: str, provider: RecordingProvider, query: RecordingQuery, page: int) -> _Asked:
        key = (name, query, page)
        known = self._asked.get(key)
        if known is None or (known.answer.done() and not self._is_fresh(known)):
            self._tidy()
            task = asyncio.create_task(_told(provider, query, page))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            known = _Asked(task, self._now(), self._clock.now())
            self._asked[key] = known
        return known

    def _is_fresh(self, asked: _Asked) -> bool:
        """A failure is nobody's but theirs who waited for it."""
        failed = asked.answer.cancelled() or asked.answer.exception()
        return not failed and self._now() - asked.begun < FRESH_SECONDS

    def _tidy(self) -> None:
        if len(self._asked) >= MOST_PAGES:
            self._asked = {key: each for key, each in self._asked.items() if not each.answer.done()}


async def _told(provider: RecordingProvider, query: RecordingQuery, page: int) -> RecordingPage:
    """Whoever is unknown over there, or may not ask about the meeting, has no recordings of it."""
    try:
        return await provider.recordings(query, page)
    except (NoSuchMeetingError, NotPermittedError):
        if not query.creator:
            raise
        return EMPTY
