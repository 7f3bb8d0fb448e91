"""Watchers of reservations, through whichever replica they were made, handed to all who watch: one subscription on the
published events for the whole program, held from the first watcher on.
"""

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf.json_format import ParseDict
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from yunhui.booking.v1.reservation_pb2 import Reservation

from services.platform.serving import errors
from services.platform.tasks import until_cancelled

log = logging.getLogger(__name__)

SUBJECT = "yunhui.booking.reservation.*"
EVERYBODY = ""
BACKLOG = 1000
REMEMBERED = 10_000  # reservations: a repeat comes within seconds of what it repeats
FLUSH_SECONDS = 2
LAST_WORDS_SECONDS = 1.0

Admits = Callable[[Sequence[str]], Awaitable[bool]]
"""Whether a watcher may see what is, or was, one of these accounts'."""


class _Change(NamedTuple):
    record: Reservation
    accounts: Sequence[str]


class Watcher:
    """One stream: what it has still to be told, and how it ends. Iterating raises the errors.RpcError that ends it."""

    def __init__(self, admits: Admits | None = None) -> None:
        self.task = asyncio.current_task()
        self._admits = admits
        self._untold: asyncio.Queue[_Change | errors.RpcError] = asyncio.Queue(BACKLOG)
        self._ended = False

    def tell(self, record: Reservation, accounts: Sequence[str]) -> None:
        """`accounts`: whose it is and was."""
        if self._ended:
            return
        if self._untold.full():
            message = f"more than {BACKLOG} changes were waiting to be taken: list again, then watch again"
            self.end(errors.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW", message))
        else:
            self._untold.put_nowait(_Change(record, accounts))

    def end(self, error: errors.RpcError) -> None:
        """What was not told yet never will be."""
        if self._ended:
            return
        self._ended = True
        while not self._untold.empty():
            self._untold.get_nowait()
        self._untold.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[Reservation]:
        for _ in until_cancelled():
            told = await self._untold.get()
            if isinstance(told, errors.RpcError):
                raise told
            if self._admits is None or await self._admits(told.accounts):
                yield told.record


class Watchers:
    """Who watches what. `interrupt` must be called whenever the connection may have lost a message."""

    def __init__(self) -> None:
        self._bus: Client | None = None
        self._watchers: dict[str, set[Watcher]] = {}
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._subscription: Subscription | None = None
        self._subscribing = asyncio.Lock()
        self._closed = False

    def attach(self, connection: Client) -> None:
        """The connection that calls `interrupt`: it does so already while it is being made."""
        self._bus = connection

    @contextlib.asynccontextmanager
    async def watch(self, account_id: str, seconds: float, admits: Admits | None = None) -> AsyncIterator[Watcher]:
        """Follows this account's reservations, or EVERYBODY's, from the moment this is entered on: of EVERYBODY's those
        that `admits` says, if given.

        Ends with UNAUTHENTICATED after `seconds`, when the caller's token has expired. Raises errors.unavailable when
        the bus is away, for then changes would be missed.
        """
        watcher = Watcher(admits)
        self._watchers.setdefault(account_id, set()).add(watcher)
        expiry = asyncio.get_running_loop().call_later(seconds, watcher.end, expired())
        try:
            await self._subscribe()
            yield watcher
        finally:
            expiry.cancel()
            self._watchers[account_id].discard(watcher)
            if not self._watchers[account_id]:
                del self._watchers[account_id]

    async def _subscribe(self) -> None:
        if self._closed:
            raise errors.unavailable("booking")
        if (
            not self._bus or not self._bus.is_connected
        ):  # a subscription now would be made later, and nobody would know when
            raise errors.unavailable("bus")
        try:
            async with self._subscribing:
                if self._subscription is None:
                    self._subscription = await self._bus.subscribe(SUBJECT, cb=self._receive)
            # the server answers in order: after this it has the subscription, or has refused it, which interrupts.
            # Twice, since nats-py sends the first question ahead of a subscription that it has yet to send
            for _ in range(2):
                await self._bus.flush(FLUSH_SECONDS)
        except (NatsError, TimeoutError) as error:
            raise errors.unavailable("bus") from error

    async def interrupt(self) -> None:
        """Watchers may have been missed: ends every stream, so that all list again."""
        self._end_all(errors.unavailable("bus"))
        subscription, self._subscription = self._subscription, None
        if subscription:
            with contextlib.suppress(NatsError):  # it went with its connection
                await subscription.unsubscribe()

    def close(self) -> None:
        """Ends every stream and lets nobody in: the program stops."""
        self._closed = True
        self._end_all(errors.unavailable("booking"))
        # whoever does not read what it was sent cannot be told that this is the end
        asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        for watcher in self._all():
            if watcher.task:
                watcher.task.cancel()

    def _end_all(self, error: errors.RpcError) -> None:
        for watcher in self._all():
            watcher.end(error)

    def _all(self) -> Iterable[Watcher]:
        return [watcher for group in self._watchers.values() for watcher in group]

    async def _receive(self, message: Msg) -> None:
        if not self._watchers:
            return
        try:
            event = json.loads(message.data)
            self._hand_on(event.get("reservation"), event.get("formerOrganizer", {}).get("accountId", ""))
        except Exception as error:
            # without its words: they can quote what people wrote
            log.error("%s: an event cannot be read: %s", message.subject, type(error).__name__)
            self._end_all(errors.unavailable("bus"))

    def _hand_on(self, content: dict[str, Any] | None, former: str) -> None:
        """`content` is a reservation in proto3 JSON; None: the event is of a request that came to nothing. `former`:
        whose it was until now, who would else not learn that it is gone; mostly ""."""
        if content is None or not self._is_news(content["reservationId"], int(content["version"])):
            return
        accounts = [each for each in (content["organizer"]["accountId"], former) if each]
        interested = [watcher for key in {EVERYBODY, *accounts} for watcher in self._watchers.get(key, ())]
        if interested:
            record = ParseDict(content, Reservation(), ignore_unknown_fields=True)  # of a newer replica
            for watcher in interested:
                watcher.tell(record, accounts)

    def _is_news(self, reservation_id: str, version: int) -> bool:
        """Events come at least once, and a replica may publish again what another has published before."""
        if version <= self._versions.get(reservation_id, 0):
            return False
        self._versions[reservation_id] = version
        self._versions.move_to_end(reservation_id)
        if len(self._versions) > REMEMBERED:
            self._versions.popitem(last=False)
        return True


def expired() -> errors.RpcError:
    return errors.failure(grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", "the token has expired: sign in again")
