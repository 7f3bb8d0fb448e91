"""Booking end to end against the bare echo server, and against itself with a thousand times the data.

Every figure is a ratio of two things measured one right after the other, or belongs to one state at rest. A round takes
each pair once, the other way round every second time; what counts is the median over the rounds.
"""

import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

from bench import bookers, lag, postgres, processes, years
from bench.bookers import CHECK, CREATE
from bench.installation import Installation, running
from bench.load import Client, Job, Outcome, Person
from bench.processes import Programs
from services.installation.state import State

IN_FLIGHT = 32
ROOMS = 100
GROWTH_ROOMS = 200  # two installations live through all rounds
SMALL, LARGE = 1_000, 1_000_000
IDLE_SECONDS = 10.0
WARM_SECONDS = 1.0
LAG_SECONDS = 2.0
SHOWN = ("create_vs_echo_c32", "create_p50_vs_echo_p50_c1", "create_cpu_vs_echo_cpu", "check_vs_echo_c32")

Tell = Callable[[str], None]
Samples = defaultdict[str, list[float]]
Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements need: where to work, the client, the echo server, and how long."""

    folder: Path
    client: Client
    echo: str
    echo_programs: Programs
    rounds: int
    seconds: float
    tell: Tell
    kinds: set[str] = field(default_factory=set)
    """Which figure of memory was read."""

    def tell_round(self, name: str, number: int) -> Tell:
        return lambda what: self.tell(f"{name} {number + 1}/{self.rounds}: {what}")

    def call_echo(self, people: Sequence[Person], in_flight: int, seconds: float) -> Outcome:
        return self.client.run(Job(self.echo, "/bench.Echo/Echo", people, in_flight, seconds, again=True))


@contextmanager
def prepared(folder: Path, rounds: int, seconds: float, tell: Tell) -> Iterator[Bench]:
    client = Client()
    server = subprocess.Popen([sys.executable, "-m", "bench.echo"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout  # noqa: S101 - it is a pipe
        address = f"127.0.0.1:{server.stdout.readline().strip()}"
        yield Bench(folder, client, address, {"echo": server.pid}, rounds, seconds, tell)
    finally:
        server.terminate()
        server.communicate()
        client.close()


@dataclass(slots=True)
class Asker:
    """Asks one installation. Nobody books twice under the same request id: who had their turn is gone."""

    bench: Bench
    place: Installation
    creators: Sequence[Person]
    checkers: Sequence[Person] = field(default_factory=list)

    def create(self, in_flight: int, seconds: float) -> Outcome:
        outcome = self.bench.client.run(Job(self.place.address, CREATE, self.creators, in_flight, seconds))
        bookers.must_be_confirmed(CREATE, outcome.answers)
        self.creators = self.creators[outcome.people :]
        return outcome

    def check(self, seconds: float) -> Outcome:
        outcome = self.bench.client.run(Job(self.place.address, CHECK, self.checkers, IN_FLIGHT, seconds, again=True))
        bookers.must_be_confirmed(CHECK, outcome.answers)
        return outcome

    def settle(self) -> None:
        """Until all events are published and all mails are sent."""
        processes.wait_until_quiet(self.place.programs)


def measure(bench: Bench, name: str, databases: postgres.Server | None = None) -> Figures:
    """Each round on a fresh installation, so that all meet the same empty week."""
    samples: Samples = defaultdict(list)
    keys = bookers.make_issuer(bench.folder / "issuer")
    creators, checkers = bookers.creating(keys, ROOMS), bookers.checking(keys, ROOMS)
    for number in range(bench.rounds):
        if databases:
            databases.empty()
        place = Installation(bench.folder / f"{name}-{number}", keys, databases)
        with running(place):
            bookers.make_rooms(place.state, place.address, ROOMS)
            asker = Asker(bench, place, creators, checkers)
            say = bench.tell_round(name, number)
            _round(asker, number, samples, say)
            say(", ".join(f"{figure} {values[-1]:.3g}" for figure, values in samples.items() if figure in SHOWN))
        rmtree(place.state.root)
    return {figure: median(values) for figure, values in samples.items()}


def _round(asker: Asker, number: int, samples: Samples, say: Tell) -> None:
    samples["start_seconds"].append(asker.place.start_seconds)
    say("warm-up")
    _warm_up(asker)
    pairs: list[Callable[[Asker, Samples], None]] = [_at_once, _one_by_one, _events]
    for pair in pairs if number % 2 else reversed(pairs):
        say(pair.__name__.strip("_").replace("_", " "))
        pair(asker, samples)
    memory, kind = processes.memory_mb(asker.place.programs)
    samples["rss_mb_all"].append(memory)
    asker.bench.kinds.add(kind)
    if number == asker.bench.rounds - 1:
        say("at rest")
        samples["idle_cpu_percent_all"].append(100 * processes.cpu_share(asker.place.programs, IDLE_SECONDS))


def _warm_up(asker: Asker) -> None:
    asker.bench.call_echo(asker.creators, IN_FLIGHT, WARM_SECONDS)
    asker.check(WARM_SECONDS)
    asker.create(IN_FLIGHT, WARM_SECONDS / 2)
    asker.settle()


def _at_once(asker: Asker, samples: Samples) -> None:
    """All three with 32 calls in flight, and the CPU time of echo and create until nothing is left to do."""
    bench, programs = asker.bench, asker.place.programs
    before = processes.cpu_seconds(bench.echo_programs)
    echo = bench.call_echo(asker.creators, IN_FLIGHT, bench.seconds)
    echo_cpu = processes.spent(before, processes.cpu_seconds(bench.echo_programs)) / len(echo.answers)
    check = asker.check(bench.seconds)
    before = processes.cpu_seconds(programs)
    create = asker.create(IN_FLIGHT, bench.seconds)
    asker.settle()
    after = processes.cpu_seconds(programs)
    create_cpu = processes.spent(before, after) / len(create.answers)
    add(
        samples,
        create_vs_echo_c32=create.per_second / echo.per_second,
        check_vs_echo_c32=check.per_second / echo.per_second,
        create_cpu_vs_echo_cpu=create_cpu / echo_cpu,
        create_per_second_c32=create.per_second,
        check_per_second_c32=check.per_second,
        echo_per_second_c32=echo.per_second,
        create_p99_ms_c32=1e3 * statistics.quantiles(create.latencies, n=100)[98],
        create_cpu_ms=1e3 * create_cpu,
        echo_cpu_ms=1e3 * echo_cpu,
        **{f"create_cpu_ms_{name}": 1e3 * (after[name] - before[name]) / len(create.answers) for name in programs},
    )


def _one_by_one(asker: Asker, samples: Samples) -> None:
    """Echo and create with one call in flight."""
    echo = asker.bench.call_echo(asker.creators, 1, asker.bench.seconds / 2)
    create = asker.create(1, asker.bench.seconds / 2)
    asker.settle()
    add(
        samples,
        create_p50_vs_echo_p50_c1=create.p50 / echo.p50,
        create_p50_ms_c1=1e3 * create.p50,
        echo_p50_ms_c1=1e3 * echo.p50,
    )


def _events(asker: Asker, samples: Samples) -> None:
    """How far subscribers are behind, under a steady load."""
    place, people = asker.place, asker.creators[: int(LAG_SECONDS * lag.PER_SECOND)]
    asker.creators = asker.creators[len(people) :]
    lags = asker.bench.client.do(lag.run, place.address, CREATE, people, LAG_SECONDS, place.bus)
    asker.settle()
    percentiles = statistics.quantiles(lags, n=100)
    add(samples, event_lag_p50_ms=1e3 * percentiles[49], event_lag_p99_ms=1e3 * percentiles[98])


def grow(bench: Bench) -> Figures:
    """Two installations side by side, one of which has seen years of use; they take turns."""
    samples: Samples = defaultdict(list)
    keys = bookers.make_issuer(bench.folder / "issuer")
    small, large = (_with_history(bench, keys, size) for size in (SMALL, LARGE))
    with running(small), running(large):
        creators = bookers.creating(keys, GROWTH_ROOMS)
        askers = [Asker(bench, place, creators) for place in (small, large)]
        for asker in askers:
            asker.create(IN_FLIGHT, WARM_SECONDS / 2)
            asker.settle()
        for number in range(bench.rounds):
            _compare(askers, number, samples, bench.tell_round("growth", number))
    return {figure: median(values) for figure, values in samples.items()}


def _compare(askers: Sequence[Asker], number: int, samples: Samples, say: Tell) -> None:
    speeds = {}
    for index in (0, 1) if number % 2 else (1, 0):
        speeds[index] = askers[index].create(IN_FLIGHT, askers[index].bench.seconds / 2).per_second
        askers[index].settle()
    add(samples, growth_1m_vs_1k=speeds[1] / speeds[0])
    add(samples, create_per_second_1k=speeds[0], create_per_second_1m=speeds[1])
    say(f"{speeds[1]:.0f}/s over a million, {speeds[0]:.0f}/s over a thousand")


def _with_history(bench: Bench, keys: State, reservations: int) -> Installation:
    place = Installation(bench.folder / f"growth-{reservations}", keys)
    with running(place):
        bookers.make_rooms(place.state, place.address, GROWTH_ROOMS)
        asker = Asker(bench, place, [bookers.model(keys)])
        asker.create(1, WARM_SECONDS)
        asker.settle()
    years.fill(place.state, years.Size(reservations, GROWTH_ROOMS), lambda what: bench.tell(f"filling: {what}"))
    return place


def add(samples: Samples, **figures: float) -> None:
    for name, value in figures.items():
        samples[name].append(value)


def median(values: list[float]) -> dict[str, Any]:
    return {"median": rounded(statistics.median(values)), "samples": [rounded(value) for value in values]}


def rounded(value: float) -> float:
    return float(f"{value:.4g}")
