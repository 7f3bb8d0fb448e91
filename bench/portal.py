"""The pages under fifty people at once: how long the portal takes for each page, and how much the first one weighs.

Everybody has a session of their own and goes through all pages in an order of their own, with a pause after each, drawn
evenly from THINK_SECONDS. The time is the portal's own, from the request to the beginning of the answer
(`Server-Timing`); beside it what the client saw.
"""

import asyncio
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any

import httpx2

from bench.booking import Bench, Figures
from services.cli import moments
from services.cli.stage import Stage, raised
from services.installation.state import State

PEOPLE = 50
THINK_SECONDS = (2.0, 4.0)
LEAST_SECONDS, SECONDS_FOR_ONE = 8.0, 30.0
PERCENT_95 = 18
PATIENCE_SECONDS = 30.0
DAY = moments.parse_moment("2025-07-08 09:00")
CLOCK = "2025-07-07T08:00+08:00"
COOKIE = "yunhui"
LINKED = re.compile(r'(?:href|src)="(/static/[^"#]+)')
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Somebody:
    """An account with a reservation, and the number of a meeting that is not reserved."""

    account: str
    reservation: str
    code: str
    support: bool = False

    def pages(self) -> Mapping[str, str]:
        one = f"/reservations/{self.reservation}"
        mine = {
            "number": "/",
            "meeting": f"/book?meeting_code={self.code}&people=12",
            "rooms": "/rooms?day=2025-07-08",
            "reservations": "/reservations",
            "reservation": one,
            "change": f"{one}/change",
            "cancel": f"{one}/cancel",
            "standing": "/standing",
            "rules": "/rules",
            "settings": "/settings",
        }
        return mine | ({"support": "/support"} if self.support else {})


@dataclass(frozen=True, slots=True)
class Site:
    portal: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Answered:
    """In seconds: at the portal, and as the client saw it."""

    server: float
    outside: float


def measure(bench: Bench) -> Figures:
    """Figures by page, and those of the first page's weight in kB of 1000 bytes."""
    seconds = max(LEAST_SECONDS, SECONDS_FOR_ONE * bench.seconds)
    with raised(State(bench.folder / "portal"), CLOCK, "en") as stage:
        run = stage.state.read_run()
        site = Site(str(run["portal"]), str(run["issuer_address"]))
        bench.tell(f"portal: {PEOPLE} people")
        people = [settle(stage, number) for number in range(PEOPLE)]
        bench.tell(f"portal: {seconds:.0f} s")
        weight, answers = bench.client.do(walk, site, people, seconds)
    return {"first_page": {"kilobytes": weight}, "pages": {name: summary(answers[name]) for name in sorted(answers)}}


def settle(stage: Stage, number: int) -> Somebody:
    """Every tenth is of support, too."""
    account, start = f"reader-{number}", DAY + timedelta(days=number % 5, hours=number // 5)
    made = stage.reserve(account, start, 60, 120 if number % 5 == 0 else 12).reservation
    code = stage.make_meeting(account, DAY + timedelta(days=5, hours=number % 12), 60).meeting_code
    return Somebody(account, made.reservation_id, code, support=number % 10 == 0)


def walk(site: Site, people: Sequence[Somebody], seconds: float) -> tuple[float, dict[str, list[Answered]]]:
    """In the client's process; everybody sees every page at least once. Raises RuntimeError for what is no page."""
    return asyncio.run(_walk(site, people, seconds))


async def _walk(site: Site, people: Sequence[Somebody], seconds: float) -> tuple[float, dict[str, list[Answered]]]:
    answers: dict[str, list[Answered]] = defaultdict(list)
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(_client(site)) for _ in people]
        for person, client in zip(people, clients, strict=True):
            await _sign_in(site, person, client)
        weight = await _weigh(clients[0])
        end = time.monotonic() + seconds
        look = (_look(*each, end, answers) for each in zip(people, clients, strict=True))
        await asyncio.gather(*look)
    return weight, dict(answers)


def _client(site: Site) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=site.portal, timeout=PATIENCE_SECONDS, headers={"accept-encoding": "gzip"})


async def _sign_in(site: Site, person: Somebody, client: httpx2.AsyncClient) -> None:
    choice = await client.get("/settings", follow_redirects=True)
    fields = {name: unescape(value) for name, value in HIDDEN.findall(choice.text)}
    role = "support" if person.support else "booker"
    chosen = fields | {"account": person.account, "role": role, "name": person.account}
    await client.post(f"{site.issuer}/authorize", data=chosen, follow_redirects=True)


async def _weigh(client: httpx2.AsyncClient) -> float:
    """The first page with all that it links to, as it comes over the wire, without headers."""
    page = await client.get("/")
    parts = [page, *[await client.get(unescape(link)) for link in sorted(set(LINKED.findall(page.text)))]]
    return sum(part.num_bytes_downloaded for part in parts) / 1000


async def _look(person: Somebody, client: httpx2.AsyncClient, end: float, answers: dict[str, list[Answered]]) -> None:
    dice = random.Random(person.account)  # noqa: S311 - a fixed sample
    pages = list(person.pages().items())
    await asyncio.sleep(dice.uniform(0, THINK_SECONDS[1]))  # nobody begins in step
    while time.monotonic() < end:
        dice.shuffle(pages)
        for name, path in pages:
            answers[name].append(await _time(client, path))
            await asyncio.sleep(dice.uniform(*THINK_SECONDS))


async def _time(client: httpx2.AsyncClient, path: str) -> Answered:
    begun = time.perf_counter()
    answer = await client.get(path)
    outside = time.perf_counter() - begun
    if answer.status_code != httpx2.codes.OK:
        raise RuntimeError(f"{path}: {answer.status_code}")
    said = answer.headers["server-timing"].partition("dur=")[2]
    return Answered(float(said) / 1000, outside)


def summary(answers: Sequence[Answered]) -> dict[str, Any]:
    server, outside = ([getattr(each, name) for each in answers] for name in ("server", "outside"))
    return {
        "server_p95_ms": p95(server),
        "server_p50_ms": 1e3 * statistics.median(server),
        "outside_p95_ms": p95(outside),
        "answers": len(answers),
    }


def p95(seconds: Sequence[float]) -> float:
    """In milliseconds."""
    return 1e3 * (statistics.quantiles(seconds, n=20)[PERCENT_95] if len(seconds) > 1 else seconds[0])
