"""Clients, as a process of their own, that ask real programs for rooms and write down every answer.

`python -m tests.faults.load crowd|rush|queue --state DIR --log FILE --size N ADDRESS...`: a crowd of 16 clients wants
20 rooms at the same hours, changes its mind and cancels; in a rush one account asks 64 times at once, `size` rounds
long; a queue makes `size` reservations that the rules confirm, about 40 a second, and changes or cancels some.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub

from bench import bookers
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import State
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from tests.faults import answers
from tests.faults.answers import Answer, Facts

MIDNIGHT = 1_751_817_600_000  # 2025-07-07 in Shanghai, a Monday; the clock is set to eight that morning
CLIENTS = 16
ACCOUNTS = 120
AT_ONCE = 64
QUEUE_ROOMS = 100
QUEUE_PAUSE_SECONDS = 0.75
TRIES = 1200
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 20.0
REPEATED = 20  # one in so many requests is sent again at the end, besides all whose answer was lost
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
}
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own for each client
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
)


class Client:
    """One connection to each replica. Asks them in turn, and again, under the same request_id, until one answers.

    It waits as it is told (RetryInfo): whoever hammers is refused for calling too often.
    """

    def __init__(self, addresses: Sequence[str], state: State) -> None:
        self._stubs = [BookingServiceStub(grpc.aio.insecure_channel(each, options=OPTIONS)) for each in addresses]
        self._state = state
        self._turn = random.randrange(len(addresses))

    async def ask(self, account_id: str, request: Message) -> Answer:
        method = type(request).__name__.removesuffix("Request")
        lost = refused = 0
        for _ in range(TRIES):
            self._turn += 1
            call = getattr(self._stubs[self._turn % len(self._stubs)], method)
            try:
                reply = await call(request, metadata=self._metadata(account_id), timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                pause = told_pause(error)
                if error.code() not in AGAIN and pause is None:
                    return to_answer(account_id, request, error.code().name, lost, refused)
                own = "grpc-status-details-bin" in dict(error.trailing_metadata() or ())
                lost, refused = lost + (not own), refused + own
                await asyncio.sleep(PAUSE_SECONDS if pause is None else pause)
            else:
                return to_answer(account_id, request, reply, lost, refused)
        return to_answer(account_id, request, "GAVE_UP", lost, refused)

    def _metadata(self, account_id: str) -> tuple[tuple[str, str]]:
        if account_id not in TOKENS:
            role = account_id if account_id in issuer.ROLES else "booker"
            TOKENS[account_id] = issuer.mint(self._state, SampleAccount(account_id, role))
        return (("authorization", f"Bearer {TOKENS[account_id]}"),)


def told_pause(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds after which it may be tried again, if the answer says so."""
    told = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # what it reads both kinds of calls have
    for detail in status.details if status else ():
        if detail.Unpack(told):
            return float(told.retry_delay.ToMilliseconds()) / 1000
    return None


TOKENS: dict[str, str] = {}
WORDS = {
    api.CancelReservationResponse: "CANCELLED",
    api.EndReservationResponse: "ENDED",
    api.ResolveEscalationResponse: "RESOLVED",
}
"""What became of acts whose answer has no outcome."""


def to_answer(account_id: str, request: Any, reply: Any, lost: int, refused: int) -> Answer:
    method = type(request).__name__.removesuffix("Request")
    request_id = getattr(request, "request_id", "")
    if isinstance(reply, str):
        return Answer(method, account_id, request_id, reply, lost=lost, refused=refused)
    decision = getattr(reply, "decision", None)
    return Answer(
        method,
        account_id,
        request_id,
        outcome=WORDS.get(type(reply)) or pb.Outcome.Name(reply.outcome).removeprefix("OUTCOME_"),
        decision_id=decision.decision_id if decision else "",
        rules=[rule.rule_id for rule in decision.rules] if decision else [],
        facts=Facts.of(reply.reservation) if reply.HasField("reservation") else None,
        lost=lost,
        refused=refused,
    )


class Load:
    """What all clients have asked and been answered so far."""

    def __init__(self, addresses: Sequence[str], state: State, size: int, name: str) -> None:
        self.clients = [Client(addresses, state) for _ in range(CLIENTS)]
        self.size = size
        self.name = name
        self.answers: list[Answer] = []
        self._asked: list[tuple[str, Message, Answer]] = []

    async def ask(self, client: Client, account_id: str, request: Message) -> Answer:
        answer = await client.ask(account_id, request)
        self.answers.append(answer)
        if answer.request_id:
            self._asked.append((account_id, request, answer))
        return answer

    async def repeat(self) -> None:
        """A request sent again under its request_id; the checker compares the answers."""
        again = [each for number, each in enumerate(self._asked) if each[2].lost or number % REPEATED == 0]

        async def work(client: Client) -> None:
            while again:
                account_id, request, _ = again.pop()
                self.answers.append(await client.ask(account_id, request))

        await asyncio.gather(*map(work, self.clients))

    async def tell_progress(self, unit: int) -> None:
        while True:
            await asyncio.sleep(5)
            print(f"... {len(self.answers) // unit} of {self.size}", file=sys.stderr, flush=True)


async def crowd(load: Load) -> None:
    """`size` requests: new ones, and changes and cancellations of what was made before."""
    made: list[tuple[str, str]] = []
    left = iter(range(load.size))

    async def work(client: Client) -> None:
        for number in left:
            account_id, request = choose(f"{load.name}-{number}", made)
            answer = await load.ask(client, account_id, request)
            if answer.method == "CreateReservation" and answer.accepted and answer.facts:
                made.append((account_id, answer.facts.reservation_id))

    await asyncio.gather(*map(work, load.clients))


def choose(name: str, made: list[tuple[str, str]]) -> tuple[str, Message]:
    dice = random.random()
    if made and dice < 0.3:
        account_id, reservation_id = made[random.randrange(len(made))]
        if dice < 0.2:
            return account_id, api.CancelReservationRequest(reservation_id=reservation_id)
        return account_id, wish(api.UpdateReservationRequest(request_id=name, reservation_id=reservation_id))
    request = api.CreateReservationRequest(request_id=name, subject=name, meeting_code="123-456-789")
    return f"crowd-{random.randrange(ACCOUNTS)}", wish(request)


def wish(
    request: api.CreateReservationRequest | api.UpdateReservationRequest,
) -> api.CreateReservationRequest | api.UpdateReservationRequest:
    """Gives it a time and a number of people."""
    start = MIDNIGHT + random.randrange(4) * DAY + 10 * HOUR + random.randrange(20) * 15 * MINUTE
    request.start_time.CopyFrom(to_timestamp(start))
    request.end_time.CopyFrom(to_timestamp(start + random.choice((30, 45, 60, 60, 90, 120, 180)) * MINUTE))
    request.participant_count = random.choice((3, 8, 12, 12, 25, 40, 60, 120))
    return request


async def rush(load: Load) -> None:
    """`size` rounds: one account wants 64 rooms at once; what it got is cancelled before the next round.

    Every other round begins with an account that is not known yet.
    """
    for number in range(load.size):
        account_id = f"rush-{number // 2}"
        start = MIDNIGHT + (1 + number % 7) * DAY + 10 * HOUR
        requests = [rush_request(number, index, start) for index in range(AT_ONCE)]
        clients = [load.clients[index % CLIENTS] for index in range(AT_ONCE)]
        replies = await asyncio.gather(*(load.ask(c, account_id, r) for c, r in zip(clients, requests, strict=True)))
        got = [reply.facts.reservation_id for reply in replies if reply.facts]
        cancellations = [api.CancelReservationRequest(reservation_id=each) for each in got]
        await asyncio.gather(*(load.ask(clients[0], account_id, each) for each in cancellations))


def rush_request(number: int, index: int, start: int) -> api.CreateReservationRequest:
    begin = start + index % 4 * 15 * MINUTE
    return api.CreateReservationRequest(
        request_id=f"rush-{number}-{index}",
        subject=f"rush-{number}-{index}",
        meeting_code="123-456-789",
        start_time=to_timestamp(begin),
        end_time=to_timestamp(begin + HOUR),
        participant_count=12,
    )


async def queue(load: Load) -> None:
    """`size` reservations for 100 rooms; of ten, one is cancelled and one gets fewer people."""
    people = iter(enumerate(bookers.wishes(QUEUE_ROOMS)))
    left = iter(range(load.size))

    async def work(client: Client) -> None:
        for number, requests in people:
            for request in requests:
                index = next(left, None)
                if index is None:
                    return
                await asyncio.sleep(random.uniform(0, QUEUE_PAUSE_SECONDS))
                name = request.request_id = request.subject = f"{load.name}-{request.request_id}"
                answer = await load.ask(client, f"{load.name}-{number}", request)
                if answer.facts and (change := change_of_mind(index, answer.facts.reservation_id, name)):
                    await load.ask(client, f"{load.name}-{number}", change)

    await asyncio.gather(*map(work, load.clients))


def change_of_mind(index: int, reservation_id: str, name: str) -> Message | None:
    if index % 10 == 3:
        return api.CancelReservationRequest(reservation_id=reservation_id)
    if index % 10 == 7:
        return api.UpdateReservationRequest(
            request_id=f"{name}-change", reservation_id=reservation_id, participant_count=3
        )
    return None


LOADS: dict[str, tuple[Callable[[Load], Awaitable[None]], int]] = {
    "crowd": (crowd, 1),
    "rush": (rush, AT_ONCE + 3),
    "queue": (queue, 1),
}


async def main(options: argparse.Namespace) -> None:
    work, unit = LOADS[options.load]
    load = Load(options.addresses, State(options.state), options.size, options.name)
    progress = asyncio.create_task(load.tell_progress(unit))
    began = time.monotonic()
    await work(load)
    print(f"{time.monotonic() - began:.1f}", flush=True)
    await load.repeat()
    progress.cancel()
    answers.write(options.log, load.answers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--name", default="crowd", help="first part of the request_ids of a crowd")
    parser.add_argument("addresses", nargs="+")
    asyncio.run(main(parser.parse_args()))
