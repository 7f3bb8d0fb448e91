"""Booking end to end against the bare echo server, and against itself with a thousand times the data.

Every figure is a ratio of two things measured in turns, a slice of each at a time, or belongs to one state at rest.
What counts is the median over the rounds.
"""

import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
SLICES = 4
IN_WINDOW = ("booking", "policy", "nats")
"""What must run for an answer; the rest may come later."""
SINK = "mail"
SHOWN = ("create_vs_echo_c32", "create_p50_vs_echo_p50_c1", "booking_cpu_vs_echo_cpu", "create_cpu_ms_without_sink")

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
    """Asks one installation. Nobody books twice under the same request id: what was asked is gone."""

    bench: Bench
    place: Installation
    creators: Sequence[Person]
    checkers: Sequence[Person] = field(default_factory=list)

    def create(self, in_flight: int, seconds: float) -> Outcome:
        outcome = self.bench.client.run(Job(self.place.address, CREATE, self.creators, in_flight, seconds))
        bookers.must_be_confirmed(CREATE, outcome.answers)
        self.creators = [*outcome.rest, *self.creators[outcome.people :]]
        return outcome

    def check(self, seconds: float) -> Outcome:
        outcome = self.bench.client.run(Job(self.place.address, CHECK, self.checkers, IN_FLIGHT, seconds, again=True))
        bookers.must_be_confirmed(CHECK, outcome.answers)
        return outcome

    def settle(self) -> None:
        """Until all events are published and all mails are sent."""
        processes.wait_until_quiet(self.place.programs)


@dataclass(slots=True)
class Series:
    """All slices of one measurement, and their CPU time in seconds: until the last answer, and until all is done."""

    programs: Programs
    outcome: Outcome = field(default_factory=Outcome)
    window: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    whole: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def take(self, work: Callable[[], Outcome], settle: Callable[[], None]) -> None:
        before = processes.cpu_seconds(self.programs)
        self.outcome.add(work())
        answered = processes.cpu_seconds(self.programs)
        settle()
        done = processes.cpu_seconds(self.programs)
        for name, start in before.items():
            self.window[name] += answered[name] - start
            self.whole[name] += done[name] - start

    def cpu(self, spent: Mapping[str, float], names: Collection[str]) -> float:
        """Of these programs, in seconds per call; `spent` is `window` or `whole`."""
        return sum(spent[name] for name in names) / len(self.outcome.answers)


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
    parts: list[Callable[[Asker, Samples], None]] = [_at_once, _without_notifier, _one_by_one, _events]
    for part in parts if number % 2 else reversed(parts):
        say(part.__name__.strip("_").replace("_", " "))
        part(asker, samples)
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
    bench, seconds = asker.bench, asker.bench.seconds / SLICES
    echo, check, create = Series(bench.echo_programs), Series(asker.place.programs), Series(asker.place.programs)
    _alternate(
        lambda: echo.take(lambda: bench.call_echo(asker.creators, IN_FLIGHT, seconds), do_nothing),
        lambda: check.take(lambda: asker.check(seconds), do_nothing),
        lambda: create.take(lambda: asker.create(IN_FLIGHT, seconds), asker.settle),
    )
    add(
        samples,
        create_vs_echo_c32=create.outcome.per_second / echo.outcome.per_second,
        check_vs_echo_c32=check.outcome.per_second / echo.outcome.per_second,
        create_per_second_c32=create.outcome.per_second,
        check_per_second_c32=check.outcome.per_second,
        echo_per_second_c32=echo.outcome.per_second,
        create_p99_ms_c32=1e3 * statistics.quantiles(create.outcome.latencies, n=100)[98],
        **_costs(echo, create),
    )


def _costs(echo: Series, create: Series) -> dict[str, float]:
    """CPU time per call: of booking and of all until nothing is left to do, of the rest while calls were answered."""
    of_echo = echo.cpu(echo.window, echo.programs)
    of_all = create.cpu(create.whole, create.programs)
    return {
        "booking_cpu_vs_echo_cpu": create.cpu(create.whole, ["booking"]) / of_echo,
        "window_cpu_vs_echo_cpu": create.cpu(create.window, IN_WINDOW) / of_echo,
        "create_cpu_vs_echo_cpu": of_all / of_echo,
        "create_cpu_ms_without_sink": 1e3 * create.cpu(create.whole, create.programs.keys() - {SINK}),
        "create_cpu_ms": 1e3 * of_all,
        "echo_cpu_ms": 1e3 * of_echo,
        **{f"create_cpu_ms_{name}": 1e3 * create.cpu(create.whole, [name]) for name in create.programs},
    }


def _without_notifier(asker: Asker, samples: Samples) -> None:
    """Echo and create as above, while nobody writes mails: they come afterwards."""
    bench, programs, seconds = asker.bench, asker.place.programs, asker.bench.seconds / SLICES / 2
    echo, create = Series({}), Series({})
    with processes.stopped(programs["notifier"]):
        _alternate(
            lambda: echo.take(lambda: bench.call_echo(asker.creators, IN_FLIGHT, seconds), do_nothing),
            lambda: create.take(lambda: asker.create(IN_FLIGHT, seconds), asker.settle),
        )
    asker.settle()
    add(samples, create_vs_echo_c32_without_notifier=create.outcome.per_second / echo.outcome.per_second)


def _one_by_one(asker: Asker, samples: Samples) -> None:
    """Echo and create with one call in flight."""
    bench, seconds = asker.bench, asker.bench.seconds / SLICES / 2
    echo, create = Series({}), Series({})
    _alternate(
        lambda: echo.take(lambda: bench.call_echo(asker.creators, 1, seconds), do_nothing),
        lambda: create.take(lambda: asker.create(1, seconds), asker.settle),
    )
    add(
        samples,
        create_p50_vs_echo_p50_c1=create.outcome.p50 / echo.outcome.p50,
        create_p50_ms_c1=1e3 * create.outcome.p50,
        echo_p50_ms_c1=1e3 * echo.outcome.p50,
    )


def _alternate(*kinds: Callable[[], None]) -> None:
    """A slice of each in turn, so that noise of the machine meets all; the other way round every second time."""
    for turn in range(SLICES):
        for take in reversed(kinds) if turn % 2 else kinds:
            take()


def do_nothing() -> None:
    """In place of settling, where a call leaves nothing to do."""


def _events(asker: Asker, samples: Samples) -> None:
    """How far subscribers are behind, under a steady load."""
    place, people = asker.place, asker.creators[: int(LAG_SECONDS * lag.PER_SECOND)]
    asker.creators = [*asker.creators[len(people) :], *(person[1:] for person in people)]
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
