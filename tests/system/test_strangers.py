"""Whoever floods a program harms nobody else: all calls of others are answered meanwhile, and memory stays flat."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.installation import health
from services.installation.ports import free_port
from tests.servers import HOST, Bus, password, until
from tests.system import strangers as raw
from tests.system.stack import ENVIRONMENT
from tests.system.strangers import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Stranger, frame

pytestmark = pytest.mark.system

METHOD = "/yunhui.policy.v1.PolicyService/ListPolicies"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
CALLS = 20
DECIDE = "/yunhui.policy.v1.PolicyService/Decide"
PATIENCE_SECONDS = 120.0
ISSUER = "https://issuer.example.org"
MOST_GROWTH = 80 * 1024
"""KiB, through all floods together, of 80,000 calls. One under way costs 23, and some 2,000 are under way at once."""


@dataclass(frozen=True, slots=True)
class Victim:
    """The policy, a process beside a bus: of the programs it needs the least, and all stand on the same door."""

    address: str
    pid: int
    key: ECKey
    at_rest: int
    """KiB of memory, before the first flood."""

    def token(self, account: str) -> str:
        said = {"iss": ISSUER, "aud": "yunhui", "sub": account, "exp": int(time.time()) + 3600, "roles": ["booker"]}
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, said, self.key)


@pytest.fixture(scope="module")
async def victim(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Victim]:
    folder, key, listen = tmp_path_factory.mktemp("flooded"), ECKey.generate_key("P-256", auto_kid=True), free_port()
    (folder / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    bus = Bus(folder / "bus")
    await bus.start()
    await bus.set_up()
    environment = {
        "YUNHUI_ENVIRONMENT": "development",
        "YUNHUI_NATS_URL": bus.url,
        "YUNHUI_NATS_USER": "policy",
        "YUNHUI_NATS_PASSWORD": password("policy"),
        "YUNHUI_LISTEN": f"{HOST}:{listen}",
        "YUNHUI_DATABASE_URL": f"sqlite:///{folder / 'policy.db'}",
        "YUNHUI_ISSUER": ISSUER,
        "YUNHUI_JWKS": str(folder / "jwks.json"),
        "MALLOC_ARENA_MAX": "1",  # as `yunhui up` starts it
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.policy"), env={**ENVIRONMENT, **environment}, stderr=log
        )
    try:
        await until(lambda: health.serving(f"{HOST}:{listen}"), PATIENCE_SECONDS)
        yield Victim(f"{HOST}:{listen}", process.pid, key, memory(process.pid))
    finally:
        process.kill()
        await process.wait()
        await bus.stop()


Frames = Iterator[bytes]


def begun(stranger: Stranger, number: int, path: str = METHOD, **headers: str) -> Frames:
    """Calls whose message never comes."""
    head = raw.block(path, **headers)
    return (frame(HEADERS, END_HEADERS, stranger.stream(), head) for _ in range(number))


def asked(stranger: Stranger, number: int, path: str = METHOD, **headers: str) -> Frames:
    head, body = raw.block(path, **headers), raw.message(b"")
    for _ in range(number):
        stream = stranger.stream()
        yield frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body)


def reset(stranger: Stranger, number: int) -> Frames:
    """Calls that are taken back at once (CVE-2023-44487)."""
    head = raw.block(METHOD)
    for _ in range(number):
        stream = stranger.stream()
        yield frame(HEADERS, END_HEADERS, stream, head) + frame(RST_STREAM, 0, stream, raw.CANCEL)


def continued(stranger: Stranger, number: int) -> Frames:
    """Headers that never end (CVE-2024-27316 and its like)."""
    stream = stranger.stream()
    yield frame(HEADERS, 0, stream, raw.block(METHOD))
    for count in range(number):
        yield frame(CONTINUATION, 0, stream, raw.field(f"x-{count}", "y" * 1000))


def empty(stranger: Stranger, number: int) -> Frames:
    """A message in parts of no bytes."""
    stream = stranger.stream()
    yield frame(HEADERS, END_HEADERS, stream, raw.block(METHOD))
    for _ in range(number):
        yield frame(DATA, 0, stream)


@dataclass(frozen=True, slots=True)
class Flood:
    connections: int
    each: int
    frames: Callable[[Stranger, int], Frames]
    settings: bytes = b""
    source: str = HOST
    pause: float = 0.0
    """Seconds between two connections, so that what is to be held has been taken."""


FLOODS = {
    "messages that never come": Flood(30, 100, begun, pause=0.1),
    "watches of health": Flood(30, 100, lambda by, number: asked(by, number, WATCH), pause=0.3),
    "health checks that never come": Flood(30, 100, lambda by, number: begun(by, number, CHECK), pause=0.1),
    "answers that nobody takes": Flood(
        15, 100, lambda by, number: asked(by, number, CHECK), raw.NO_WINDOW, "127.0.0.2"
    ),
    "resets": Flood(1, 10_000, reset),
    "resets of many": Flood(20, 500, reset),
    "bad bearers": Flood(1, 3000, lambda by, number: asked(by, number, authorization="Bearer " + "a.b.c" * 20)),
    "bad bearers of many": Flood(30, 100, lambda by, number: asked(by, number, authorization="Bearer a.b.c")),
    "headers without end": Flood(3, 2000, continued),
    "empty data": Flood(3, 20_000, empty),
}


@asynccontextmanager
async def flooded(address: str, flood: Flood) -> AsyncIterator[None]:
    """While all of it has been sent, and the connections stand."""
    async with raw.strangers(address, flood.connections, flood.settings, flood.source) as them:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for each in them:
                await each.send(flood.frames(each, flood.each))
                await asyncio.sleep(flood.pause)
        yield


async def answers(address: str, bearer: str) -> list[str]:
    """What a booker and whoever looks after the programs get, over a connection of their own."""
    got: list[str] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(METHOD)
        health_stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs name no methods
        for number in range(CALLS):
            if number % 4:
                asking = call(b"", metadata=(("authorization", f"Bearer {bearer}"),), timeout=PATIENCE_SECONDS)
            else:
                asking = health_stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
            got.append(await code(asking))
            await asyncio.sleep(0.02)
    return got


async def code(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


def memory(pid: int) -> int:
    """KiB that are in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def endure(victim: Victim, flood: Flood, bearer: str) -> list[str]:
    """What others got while the flood came and while it stood, twice."""
    got: list[str] = []
    for _ in range(2):
        beside = asyncio.create_task(answers(victim.address, bearer))
        async with flooded(victim.address, flood):
            got += await answers(victim.address, bearer)
        got += await beside
    return got


SOME = ("messages that never come", "resets")


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.long) for name in FLOODS if name not in SOME)]
)
async def test_others_are_answered_while_strangers_flood_a_program(victim: Victim, name: str) -> None:
    got = await endure(victim, FLOODS[name], victim.token(name))
    assert Counter(got) == {"OK": 4 * CALLS}
    assert memory(victim.pid) - victim.at_rest < MOST_GROWTH


async def test_others_are_answered_while_one_account_begins_all_it_can(victim: Victim) -> None:
    bearer = f"Bearer {victim.token('greedy')}"
    flood = Flood(30, 100, lambda by, number: begun(by, number, authorization=bearer), pause=0.1)
    got = await endure(victim, flood, victim.token("modest"))
    assert Counter(got) == {"OK": 4 * CALLS}
    assert memory(victim.pid) - victim.at_rest < MOST_GROWTH


def question(entries: int) -> bytes:
    asked = pb.DecideRequest(action=pb.ACTION_CREATE, account=pb.Account(account_id="somebody"))
    asked.subject.participant_count, asked.subject.free_room_count = 12, 3
    asked.now.seconds, asked.subject.start_time.seconds, asked.subject.end_time.seconds = 1000, 90_000, 93_600
    for number in range(entries):
        past = asked.history.reservations.add(reservation_id=f"{number}", status=pb.RESERVATION_STATUS_COMPLETED)
        past.start_time.seconds = 1000 + number
    return asked.SerializeToString()


@dataclass(frozen=True, slots=True)
class Caller:
    channel: grpc.aio.Channel
    bearer: str

    async def decide(self, body: bytes, name: str, answered: list[str]) -> Any:
        """None, or the error; `name` is noted when it has come."""
        call: Any = self.channel.unary_unary(DECIDE)
        try:
            await call(body, metadata=(("authorization", f"Bearer {self.bearer}"),), timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error
        finally:
            answered.append(name)
        return None


@asynccontextmanager
async def callers(victim: Victim, *names: str) -> AsyncIterator[list[Caller]]:
    """Over one connection, so that what is asked first comes first."""
    async with grpc.aio.insecure_channel(victim.address) as channel:
        yield [Caller(channel, victim.token(name)) for name in names]


async def test_long_questions_count_for_more_and_the_answer_says_when_to_ask_again(victim: Victim) -> None:
    async with callers(victim, "long-winded", "brief") as (long_winded, brief):
        asked = [long_winded.decide(question(10_000), "", []) for _ in range(40)]
        others = [brief.decide(question(3), "", []) for _ in range(40)]
        got = await asyncio.gather(*asked, *others)
    refused = [error for error in got[:40] if error]
    assert 0 < len(refused) < 40
    assert got[40:] == [None] * 40
    for error in refused:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        [retry] = [
            each for each in rpc_status.from_call(error).details if each.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
        ]
        assert error_details_pb2.RetryInfo.FromString(retry.value).retry_delay.seconds > 0
