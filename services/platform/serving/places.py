"""Calls under way at once: so many of all, so many of one account; strangers have places of their own and never use up
those of others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.platform.serving import errors
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

MOST_CALLS_AT_ONCE = 2_000
MOST_CALLS_OF_ACCOUNT = 100
MOST_OF_STRANGERS = 100
STRANGERS_SECONDS = 60.0
MOST_UNFINISHED = 1_000
"""Of strangers at one address."""


class Places:
    """Of those who have shown who they are. Programs (role service) have as many as they need, while there are any."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._taken = 0

    def take(self, caller: Principal, context: Any) -> None:
        """Until the answer has gone out, or the caller has gone. Raises errors.RpcError RESOURCE_EXHAUSTED."""
        account = caller.account_id
        if self._of[account] >= MOST_CALLS_OF_ACCOUNT and not caller.has("service"):
            words = message(
                "this account has {limit} calls under way: wait for one to end", limit=MOST_CALLS_OF_ACCOUNT
            )
            raise errors.exhausted("TOO_MANY_CALLS", words, 1)
        if self._taken >= MOST_CALLS_AT_ONCE:
            raise errors.exhausted("BUSY", message("too many calls at once: try again"), 1)
        self._taken += 1
        self._of[account] += 1
        context.add_done_callback(lambda _: self._give_back(account))

    def _give_back(self, account: str) -> None:
        self._taken -= 1
        give_back(self._of, account)


def give_back(taken: Counter[str], whose: str) -> None:
    taken[whose] -= 1
    if not taken[whose]:
        del taken[whose]


class Strangers:
    """Whoever asks without a token. There is always a place for one more: the oldest call from the address that has the
    most ends for it, so that whoever floods us ends his own, and the health checks of an orchestrator are answered.
    """

    def __init__(self) -> None:
        self._from: dict[str, dict[asyncio.Timeout, None]] = {}
        self._unfinished: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[None]:
        """Raises errors.RpcError DEADLINE_EXCEEDED when the place is given to another."""
        address = context.peer().rpartition(":")[0]  # of ipv4:192.0.2.1:1234
        self._note(address, context)
        try:
            async with asyncio.timeout(STRANGERS_SECONDS) as limit:
                self._add(address, limit)
                try:
                    yield
                finally:
                    self._remove(address, limit)
        except TimeoutError as error:
            words = f"whoever shows no token is given {STRANGERS_SECONDS:g} s, and less while many ask"
            raise errors.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LONG", words) from error

    def _note(self, address: str, context: Any) -> None:
        """Who takes no answer (a flow-control window of zero) keeps the call when its place was given back long ago."""
        if self._unfinished[address] >= MOST_UNFINISHED:
            raise errors.exhausted("BUSY", "too many calls from your address at once: try again", 1)
        self._unfinished[address] += 1
        context.add_done_callback(lambda _: give_back(self._unfinished, address))

    def _add(self, address: str, limit: asyncio.Timeout) -> None:
        if sum(map(len, self._from.values())) >= MOST_OF_STRANGERS:
            crowd = max(self._from, key=lambda each: len(self._from[each]))
            oldest = next(iter(self._from[crowd]))
            self._remove(crowd, oldest)
            oldest.reschedule(0)
        self._from.setdefault(address, {})[limit] = None

    def _remove(self, address: str, limit: asyncio.Timeout) -> None:
        calls = self._from.get(address, {})
        calls.pop(limit, None)
        if not calls:
            self._from.pop(address, None)
