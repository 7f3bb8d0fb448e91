"""Who is inside now: one question to the provider at a time for each meeting, for all who look at it."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from services.meetings.people import MeetingRole, PersonWaiting, Presence, Target
from services.meetings.provider import MeetingKey, Provider, ProviderError
from services.platform.clock import Clock

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""For each call that a look costs: whoever watches a large meeting must not use up what all others need."""
FORGOTTEN_SECONDS = 60.0
MOST = 2_000
"""Meetings whose people are remembered."""
_RANK = {MeetingRole.HOST: 0, MeetingRole.CO_HOST: 1}


@dataclass(frozen=True, slots=True)
class PeopleSeen:
    """What the provider said at `as_of` in epoch ms. `waiting` None: it does not let us know who waits."""

    inside: tuple[Presence, ...]
    waiting: tuple[PersonWaiting, ...] | None
    as_of: int


@dataclass(slots=True)
class _Look:
    asking: "asyncio.Task[PeopleSeen]"
    begun: float

    def lasts(self, people_a_call: int) -> float:
        """Seconds from its beginning on; once it is answered."""
        failed = self.asking.cancelled() or self.asking.exception()
        inside = 0 if failed else len(self.asking.result().inside)
        return FRESH_SECONDS * max(1, -(-inside // people_a_call))


class PeopleNow:
    """Remembers each answer for some seconds, and the names in it a little longer."""

    def __init__(self, clock: Clock, now: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._now = clock, now
        self._looks: dict[MeetingKey, _Look] = {}
        self._names: dict[MeetingKey, tuple[float, dict[Target, str]]] = {}

    async def of(self, provider: Provider, key: MeetingKey, creator: str) -> PeopleSeen:
        """`creator` as in Provider.do. Raises ProviderError."""
        look = self._looks.get(key)
        if look is None or (look.asking.done() and self._now() - look.begun >= look.lasts(provider.people_a_call)):
            self._tidy()
            look = _Look(_begin(self._ask(provider, key, creator)), self._now())
            self._looks[key] = look
        return await asyncio.shield(look.asking)

    def forget(self, key: MeetingKey) -> None:
        """Something was done there: whoever looks from now on asks anew, also while an older question is out."""
        self._looks.pop(key, None)

    def names(self, key: MeetingKey) -> dict[Target, str]:
        """As people of the meeting were last seen to call themselves; none when nobody looked lately."""
        return self._names.get(key, (0.0, {}))[1]

    async def _ask(self, provider: Provider, key: MeetingKey, creator: str) -> PeopleSeen:
        as_of = self._clock.now()
        inside = await provider.inside(key)
        waiting: list[PersonWaiting] | None = None
        try:
            waiting = await provider.waiting(key, creator)
        except ProviderError as error:
            log.info("who waits is not known: %s", error)
        shown = {each.target: each.display_name for each in (*inside, *(waiting or ()))}
        self._names[key] = (self._now(), shown)
        return PeopleSeen(
            tuple(sorted(inside, key=lambda each: (_RANK.get(each.role, 2), each.display_name, each.enter_time))),
            None if waiting is None else tuple(sorted(waiting, key=lambda each: each.enter_time)),
            as_of,
        )

    def _tidy(self) -> None:
        oldest = self._now() - FORGOTTEN_SECONDS
        if len(self._looks) > MOST:
            self._looks = {key: look for key, look in self._looks.items() if not look.asking.done()}
        self._names = {key: kept for key, kept in self._names.items() if kept[0] > oldest}


def _begin(question: Coroutine[Any, Any, PeopleSeen]) -> "asyncio.Task[PeopleSeen]":
    """Its failure is told to whoever waits; when all have gone, to nobody."""
    task = asyncio.create_task(question)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
