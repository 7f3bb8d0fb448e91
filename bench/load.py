"""The client: a process of its own that keeps a number of calls in flight and notes how long each took.

A closed loop: every worker sends its next call when it has the answer to the one before. The same code calls the echo
server and booking; requests are bytes before the time starts, and answers are looked at after it has ended.
"""

import asyncio
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

T = TypeVar("T")

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to be sent, with the bearer token of its account."""

    body: bytes
    token: str


Person = Sequence[Call]
"""What one account asks for, in order: never two of its calls at the same time."""


@dataclass(frozen=True, slots=True)
class Job:
    """`again`: begin with the first person again after the last; only for calls that store nothing."""

    address: str
    method: str
    people: Sequence[Person]
    in_flight: int
    seconds: float
    again: bool = False


@dataclass(slots=True)
class Outcome:
    """What came of a job. Latencies in seconds; `people` is how many had their turn, `rest` what those among them did
    not come to ask when the time was over.
    """

    seconds: float = 0.0
    people: int = 0
    latencies: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    rest: list[Person] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """One more slice of the same measurement; who asked in it is not noted."""
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.answers += other.answers

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies)


class Client:
    """The client process. Close it."""

    def __init__(self) -> None:
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def run(self, job: Job) -> Outcome:
        """Raises grpc.RpcError as RuntimeError when a call fails, and ValueError when there was nothing to send."""
        outcome = self._process.submit(run, job).result()
        if not outcome.answers:
            raise ValueError("nobody is left who could ask: measure for a shorter time")
        return outcome

    def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Something else, in that process."""
        return self._process.submit(work, *arguments).result()

    def close(self) -> None:
        self._process.shutdown()


def run(job: Job) -> Outcome:
    try:
        return asyncio.run(_run(job))
    except grpc.RpcError as error:  # cannot travel between processes
        raise RuntimeError(f"{job.method}: {error}") from None


async def _run(job: Job) -> Outcome:
    outcome = Outcome()
    people = _count(itertools.cycle(job.people) if job.again else job.people, outcome)
    async with grpc.aio.insecure_channel(job.address) as channel:
        await channel.channel_ready()
        method: Any = channel.unary_unary(job.method)  # without serializers: bytes
        start = time.perf_counter()
        work = [_work(method, people, start + job.seconds, outcome) for _ in range(job.in_flight)]
        await asyncio.gather(*work)
        outcome.seconds = time.perf_counter() - start
    return outcome


def _count(people: Any, outcome: Outcome) -> Iterator[Person]:
    for person in people:
        outcome.people += 1
        yield person


async def _work(method: Any, people: Iterator[Person], end: float, outcome: Outcome) -> None:
    """Takes the next person from the pile that all workers share, until the time is over."""
    for person in people:
        for asked, call in enumerate(person):
            start = time.perf_counter()
            if start >= end:
                outcome.rest.append(person[asked:])
                return
            answer = await method(
                call.body, metadata=(("authorization", f"Bearer {call.token}"),), timeout=PATIENCE_SECONDS
            )
            outcome.latencies.append(time.perf_counter() - start)
            outcome.answers.append(answer)
