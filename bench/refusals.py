"""What a refusal costs beside a confirmation, and both with many rooms, on a full day and for an old account.

Installations that differ in one thing run side by side and take turns. In each, eight accounts that have asked for
nothing before make three reservations for one day, and then ask for three more: the quota of that day refuses them, and
other days are offered. What is compared is the CPU time of booking and policy per request, and the median time of an
answer.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from shutil import copytree
from typing import Any

import sqlalchemy as sa

from bench import bookers, processes, years
from bench.bookers import CAPACITIES, CREATE, FIRST_HOUR, HOURS, MIDNIGHT
from bench.booking import ROOMS, WARM_SECONDS, Asker, Bench, Figures, Samples, Series, add, median
from bench.installation import Installation, running
from bench.load import Job, Outcome, Person
from bench.years import Number, Varied, identifier, numbered
from services.booking import models
from services.installation.state import State
from services.platform.clock import DAY, HOUR, MINUTE

PEOPLE, EACH, IN_FLIGHT = 8, 3, 4
MOST_SECONDS = 4.0  # for one kind of request in one case
THE_DAY = MIDNIGHT + 2 * DAY
MANY_ROOMS = 2_000
ON_THE_DAY, SHORT = 10_000, 7 * MINUTE
OF_ACCOUNT, PAST_DAYS, A_DAY = 5_000, 35, 15

CASES: Mapping[str, tuple[str, str]] = {
    "small": ("small", "new"),
    "rooms_2000": ("rooms", "new"),
    "day_10000": ("day", "new"),
    "account_5000": ("accounts", "old"),
}
"""By name: the installation, and which accounts ask."""
GROWTH = {
    "rooms_2000_vs_100": "rooms_2000",
    "day_10000_vs_empty": "day_10000",
    "account_5000_vs_new": "account_5000",
}
KINDS = ("confirmed", "refused")
ASKED = ("booking", "policy")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request, in ms."""

    cpu: float
    p50: float


Costs = dict[tuple[str, str], Cost]
"""By case and kind."""


def measure(bench: Bench) -> Figures:
    samples: Samples = defaultdict(list)
    keys = bookers.make_issuer(bench.folder / "issuer")
    with ExitStack() as stack:
        places = {name: stack.enter_context(running(place)) for name, place in _prepared(bench, keys).items()}
        _measure(bench, keys, places, 0)  # warm
        for number in range(1, bench.rounds + 1):
            costs = _measure(bench, keys, places, number)
            figures = dict(compared(costs))
            add(samples, **figures)
            said = ", ".join(f"{name} {value:.3g}" for name, value in figures.items() if "_vs_" in name)
            bench.tell_round("refusals", number - 1)(said)
    return {figure: median(values) for figure, values in samples.items()}


def _measure(bench: Bench, keys: State, places: Mapping[str, Installation], number: int) -> Costs:
    """Each case in turn, beginning with another one each round; asked by accounts that had no turn yet."""
    wishes = {kind: dict(zip(KINDS, people(keys, kind, number), strict=True)) for kind in ("new", "old")}
    names, costs = [*CASES], Costs()
    for index in range(len(names)):
        name = names[(number + index) % len(names)]
        place, accounts = CASES[name]
        for kind in KINDS:
            costs[name, kind] = _ask(bench, places[place], wishes[accounts][kind], kind)
    return costs


def _ask(bench: Bench, place: Installation, asking: Sequence[Person], kind: str) -> Cost:
    series = Series({name: place.programs[name] for name in ASKED})
    series.take(
        lambda: _answered(bench, Job(place.address, CREATE, asking, IN_FLIGHT, MOST_SECONDS), kind),
        lambda: processes.wait_until_quiet(place.programs),
    )
    return Cost(1e3 * series.cpu(series.window, ASKED), 1e3 * series.outcome.p50)


def _answered(bench: Bench, job: Job, kind: str) -> Outcome:
    outcome = bench.client.run(job)
    if kind == "refused":
        bookers.must_be_refused(outcome.answers)
    else:
        bookers.must_be_confirmed(CREATE, outcome.answers)
    return outcome


def compared(costs: Costs) -> Iterator[tuple[str, float]]:
    """Ratios, the worse of confirmed and refused where both grow, and then what they were made of."""
    for what in ("cpu", "p50"):
        of = {key: getattr(cost, what) for key, cost in costs.items()}
        yield f"refused_vs_confirmed_{what}", of["small", "refused"] / of["small", "confirmed"]
        for name, large in GROWTH.items():
            yield f"{name}_{what}", max(of[large, kind] / of["small", kind] for kind in KINDS)
        for (case, kind), value in of.items():
            yield f"{kind}_{what}_ms_{case}", value


def people(keys: State, kind: str, number: int) -> tuple[list[Person], list[Person]]:
    """The accounts of one round: what each reserves, and what is then refused."""
    dice, first = random.Random(number), number * PEOPLE  # noqa: S311 - a fixed sample
    bodies = []
    for account in range(first, first + PEOPLE):
        starts = [THE_DAY + (FIRST_HOUR + (account * EACH + index) % HOURS) * HOUR for index in range(EACH)]
        wishes = [bookers.wish(dice, str(index), start) for index, start in enumerate([*starts, *starts])]
        bodies.append([wish.SerializeToString() for wish in wishes])
    asking = bookers.signed(keys, kind, bodies, first)
    return [person[:EACH] for person in asking], [person[EACH:] for person in asking]


def _prepared(bench: Bench, keys: State) -> dict[str, Installation]:
    """Copies of one small installation, each with more of one thing."""
    small = Installation(bench.folder / "refusals-small", keys)
    with running(small):
        bookers.make_rooms(small.state, small.address, ROOMS)
        asker = Asker(bench, small, [bookers.model(keys)])
        asker.create(1, WARM_SECONDS)
        asker.settle()
    accounts = (bench.rounds + 1) * PEOPLE
    fillings: Mapping[str, Callable[[years.Writer], None]] = {
        "rooms": fill_rooms,
        "day": fill_day,
        "accounts": partial(fill_accounts, accounts=accounts),
    }
    return {"small": small, **{name: _copied(bench, keys, small, name, fill) for name, fill in fillings.items()}}


def _copied(
    bench: Bench, keys: State, model: Installation, name: str, fill: Callable[[years.Writer], None]
) -> Installation:
    root = bench.folder / f"refusals-{name}"
    copytree(model.state.root, root)
    place = Installation(root, keys)
    with years.Writer(place.state.database("booking"), lambda what: bench.tell(f"filling: {what}")) as booking:
        fill(booking)
    return place


def fill_rooms(booking: years.Writer) -> None:
    booking.repeat(models.ROOM, ROOMS, MANY_ROOMS, room)


def fill_day(booking: years.Writer) -> None:
    booking.repeat(models.RESERVATION, 0, ON_THE_DAY, on_the_day)


def fill_accounts(booking: years.Writer, *, accounts: int) -> None:
    booking.repeat(models.ACCOUNT, 0, accounts, old_account)
    booking.repeat(models.RESERVATION, 0, accounts * OF_ACCOUNT, of_old_account)


def room(i: Number) -> Varied:
    sizes = dict(enumerate(CAPACITIES))
    return {"room_id": numbered("room-", i, 4), "capacity": sa.case(sizes, value=i % len(sizes))}


def on_the_day(i: Number) -> Varied:
    """Every second room is taken all day long, the others stay free."""
    rooms = ROOMS // 2
    return {
        **_times(i, THE_DAY + i // rooms * SHORT, SHORT),
        "account_id": sa.literal("others"),
        "room_id": numbered("room-", i % rooms * 2 + 1, 3),
        "state": sa.literal("CONFIRMED"),
    }


def old_account(i: Number) -> Varied:
    return {"account_id": numbered("old-", i, 5)}


def of_old_account(i: Number) -> Varied:
    """Of one account after the other, fifteen a day: over for the last five weeks, given up for the next ten months.

    None of them counts towards a quota.
    """
    number = i % OF_ACCOUNT
    start = MIDNIGHT + (number // A_DAY - PAST_DAYS) * DAY + number % A_DAY * HOUR
    is_past = start < MIDNIGHT
    return {
        **_times(i, start, HOUR),
        "account_id": numbered("old-", i // OF_ACCOUNT, 5),
        "state": sa.case((is_past, "COMPLETED"), else_="CANCELLED"),
        "cancel_time": sa.case((is_past, None), else_=MIDNIGHT - DAY),
    }


def _times(i: Number, start: Number, length: int) -> dict[str, sa.ColumnElement[Any]]:
    return {
        "reservation_id": identifier("rsv", i),
        "decision_id": identifier("dec", i),
        "start_time": start,
        "end_time": start + length,
        "release_time": start + length // 2,
    }
