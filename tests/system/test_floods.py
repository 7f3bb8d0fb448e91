"""Connections that get on with nothing close no door: everybody else is answered, and each of them ends."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

import httpx2
import nats
import pytest

from services.installation import issuer, ports, topology
from services.installation.programs import Plan
from services.installation.state import WEBHOOK_TOKEN, State
from services.installation.supervised_process import SupervisedProcess
from services.meetings import webhooks
from services.platform.serving.web import MOST_AT_ONCE
from services.standin.sender import WebhookSender
from tests.servers import until
from tests.system.floods import IDLE, SLOW_BODY, SLOW_HEAD, Flood, codes, flooded, resident_mb, unread

pytestmark = [pytest.mark.system, pytest.mark.long]

TIMES = 60
MEMORY_MB = 30
"""What some thousand connections may leave behind; they themselves are gone."""
MORE, FEW, FORMS = 100, 20, 300


RUNNING = ("nats", "meetings", "issuer", "portal")
PATHS = {"portal": "/signed-out", "issuer": "/.well-known/openid-configuration", "webhooks": "/tencent"}


class Door:
    """One HTTP server of a running program, and a question that it answers with 200."""

    def __init__(self, name: str, plan: Plan, program: SupervisedProcess) -> None:
        self.name = name
        self.plan = plan
        self.pid = program.pid
        self.most = webhooks.MOST_AT_ONCE if name == "webhooks" else MOST_AT_ONCE
        self.url = plan.web(name) + PATHS[name]
        self._sender = WebhookSender(self.url, plan.state.password(WEBHOOK_TOKEN))

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def ask(self, client: httpx2.AsyncClient) -> httpx2.Request:
        if self.name != "webhooks":
            return client.build_request("GET", self.url)
        check = self._sender.encode(b"a check")
        return client.build_request(
            "GET", f"{self.url}?check_str={quote(check, safe='')}", headers=self._sender.sign(check)
        )


@pytest.fixture(scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Door]]:
    """The three programs with an HTTP server, as `yunhui up` runs them, and the bus."""
    state = State(tmp_path_factory.mktemp("doors"))
    state.prepare()
    issuer.prepare_keys(state)
    plan = Plan(state, ports.choose(auto=True), standin="http://127.0.0.1:9")  # it calls us; nobody calls it
    wanted = [plan.bus(), *plan.services(), *plan.pages()]
    programs = {each.name: SupervisedProcess(each, state.log(each.name)) for each in wanted if each.name in RUNNING}
    try:
        for name in RUNNING:
            await programs[name].start()
            await programs[name].ready()
            if name == "nats":
                await declare_streams(plan)
        yield {name: Door(name, plan, programs["meetings" if name == "webhooks" else name]) for name in PATHS}
    finally:
        await asyncio.gather(*(program.stop() for program in programs.values()))


@pytest.mark.parametrize("name", PATHS)
async def test_whoever_gets_on_with_nothing_is_in_nobodys_way(doors: dict[str, Door], name: str) -> None:
    """From the very address of the others, as behind a proxy. Meanwhile everybody is answered; afterwards nothing of
    it is left, neither connections nor memory."""
    door = doors[name]
    assert await codes(door.ask, 3) == [200] * 3
    before = resident_mb(door.pid)
    floods = [
        Flood(door.port, door.most + MORE, IDLE),
        Flood(door.port, door.most // 2, SLOW_HEAD),
        Flood(door.port, door.most // 2, SLOW_BODY),
        Flood(door.port, FEW, unread(PATHS[name])),
    ]
    async with flooded(*floods):
        await until(lambda: all(flood.opened >= flood.number for flood in floods))
        assert Counter(await codes(door.ask, TIMES)) == {200: TIMES}
        floods[0].stopping = floods[1].stopping = True
        await until(lambda: floods[0].open_now + floods[1].open_now == 0)
    figures = [(flood.opened, flood.closed) for flood in floods]
    assert resident_mb(door.pid) - before < MEMORY_MB, figures


async def test_forms_of_strangers_are_nobodys_loss(doors: dict[str, Door]) -> None:
    """As large as they may be, and none is kept by us: memory and sign-in are as before."""
    door = doors["portal"]
    home = door.url.removesuffix(PATHS["portal"])
    limits = httpx2.Limits(max_connections=20)
    before = resident_mb(door.pid)
    async with httpx2.AsyncClient(base_url=home, trust_env=False, timeout=None, limits=limits) as stranger:

        async def send(number: int) -> int:
            form = {"subject": random.Random(number).randbytes(30_000).hex()}
            return (await stranger.post("/book", data=form, headers={"origin": home})).status_code

        sending = asyncio.gather(*(send(number) for number in range(FORMS)))
        assert Counter(await codes(door.ask, TIMES)) == {200: TIMES}
        assert Counter(await sending) == {403: FORMS}
        assert (await stranger.get("/sign-in")).status_code == 303
    assert await bucket_bytes(doors["portal"].plan) == 0
    assert resident_mb(door.pid) - before < MEMORY_MB


async def declare_streams(plan: Plan) -> None:
    client = await nats.connect(plan.address("nats"), user="admin", password=plan.state.password("admin"))
    await topology.apply(client)
    await client.close()


async def bucket_bytes(plan: Plan) -> int:
    client = await nats.connect(plan.address("nats"), user="admin", password=plan.state.password("admin"))
    info = await client.jetstream().stream_info(topology.PORTAL_SESSIONS.name or "")
    await client.close()
    return info.state.bytes
