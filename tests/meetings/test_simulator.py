"""`yunhui simulate` and SimulatorService, on a real server: what people do, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from typer.testing import CliRunner
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import simulator_service_pb2 as pb
from yunhui.meetings.v1.simulator_service_pb2_grpc import SimulatorServiceStub, add_SimulatorServiceServicer_to_server

from services.cli.commands import app
from services.meetings.api import NEEDED, SIMULATOR
from services.meetings.people import Device, Role
from services.meetings.provider import MeetingKey
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_quality import BAD, GOOD
from services.meetings.simulator_api import DEEDS, SimulatorService
from services.platform.serving import rpc
from tests import templates
from tests.meetings.builders import HandClock
from tests.meetings.test_gateway import NamedTokens, as_, refused
from tests.meetings.test_simulated import CODE, at, make


class Served(NamedTuple):
    stub: Any
    address: str

    async def act(self, act: int, **more: Any) -> Any:
        asked = pb.ActInMeetingRequest(**{"meeting_code": CODE, "act": act, **more})
        return await self.stub.ActInMeeting(asked, metadata=as_("booker:li"))

    async def fill(self, **asked: Any) -> Any:
        return await self.stub.PopulateMeeting(
            pb.PopulateMeetingRequest(**{"meeting_code": CODE, **asked}), metadata=as_("booker:li")
        )


@pytest.fixture(params=["sqlite"])
def url(tmp_path: Path, service: str) -> str:
    """What is stored is looked at elsewhere, on both."""
    return templates.on_sqlite(tmp_path / "meetings.db", service)


@pytest.fixture
async def served(simulated: Simulated) -> AsyncIterator[Served]:
    add = partial(add_SimulatorServiceServicer_to_server, SimulatorService(simulated))
    server = rpc.RpcServer("127.0.0.1:0", rpc.RpcGuard(NamedTokens(), NEEDED), {SIMULATOR: add}, with_reflection=False)
    await server.start()
    address = f"127.0.0.1:{server.port}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield Served(SimulatorServiceStub(channel), address)
    await server.stop()


@pytest.fixture
async def key(simulated: Simulated, clock: HandClock) -> MeetingKey:
    return at(await make(simulated, clock))


def test_every_deed_has_its_act_and_every_device_its_word() -> None:
    others = {pb.SIMULATED_ACT_UNSPECIFIED, pb.SIMULATED_ACT_END, pb.SIMULATED_ACT_CANCEL, pb.SIMULATED_ACT_MOVE}
    assert set(DEEDS) == set(pb.SimulatedAct.values()) - others
    assert set(DEEDS.values()) == set(Deed)
    assert {name.removeprefix("DEVICE_") for name, _ in listed.Device.items()} == set(Device)


async def test_guests_and_devices_come_by_rpc(served: Served, simulated: Simulated, key: MeetingKey) -> None:
    """A guest is known by name, whatever account is named beside."""
    await served.act(pb.SIMULATED_ACT_ENTER)
    await served.act(pb.SIMULATED_ACT_ENTER, account_id="wang", display_name=" 小王 ", device=listed.DEVICE_IOS)
    await served.act(pb.SIMULATED_ACT_ENTER, account_id="wang", display_name="Guest", guest=True)
    people = [(each.account, each.display_name, each.device, each.role) for each in await simulated.inside(key)]
    assert people == [
        ("li", "li", Device.PC, Role.HOST),
        ("wang", "小王", Device.IOS, Role.MEMBER),
        ("", "Guest", Device.PC, Role.GUEST),
    ]
    code, _ = await refused(served.act(pb.SIMULATED_ACT_LEAVE, display_name="Other", guest=True))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    await served.act(pb.SIMULATED_ACT_LEAVE, display_name="Guest", guest=True)
    assert len(await simulated.inside(key)) == 2


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"act": 0}, "act"),
        ({"act": 999}, "act"),
        ({"guest": True}, "display_name"),
        ({"guest": True, "display_name": "  "}, "display_name"),
        ({"display_name": "x" * 65}, "display_name"),
        ({"display_name": "a\nb"}, "display_name"),
        ({"account_id": "x" * 129}, "account_id"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_field(
    served: Served, key: MeetingKey, simulated: Simulated, asked: dict[str, Any], field: str
) -> None:
    code, details = await refused(served.act(**{"act": pb.SIMULATED_ACT_ENTER, **asked}))
    assert (code, details["BadRequest"].field_violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await simulated.inside(key) == []
    await served.act(pb.SIMULATED_ACT_ENTER, display_name="x" * 64)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"people_count": 0}, "people_count"),
        ({"people_count": 3001}, "people_count"),
        ({"people_count": -1}, "people_count"),
        ({"people_count": 2, "waiting_count": 3}, "waiting_count"),
        ({"people_count": 2, "waiting_count": -1}, "waiting_count"),
        ({"people_count": 2, "seed": -1}, "seed"),
        ({"people_count": 2, "seed": 1_000_000}, "seed"),
    ],
)
async def test_a_meeting_is_filled_within_bounds(
    served: Served, key: MeetingKey, simulated: Simulated, asked: dict[str, Any], field: str
) -> None:
    code, details = await refused(served.fill(**asked))
    assert (code, details["BadRequest"].field_violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await simulated.inside(key) == []


async def test_it_is_filled_by_rpc(served: Served, key: MeetingKey) -> None:
    """At the bounds: nobody enters where all wait, and one is a crowd."""
    first = await served.fill(people_count=1, seed=999_999)
    assert (first.inside_count, first.waiting_count, first.meeting.meeting_id) == (1, 0, key.meeting_id)
    second = await served.fill(people_count=3, waiting_count=3)
    assert (second.inside_count, second.waiting_count) == (1, 3)
    assert (await refused(served.fill(meeting_code="987654321", people_count=1)))[0] == grpc.StatusCode.NOT_FOUND


class Commands:
    """`yunhui simulate`, as li types it."""

    def __init__(self, state: Path) -> None:
        self._state = str(state)

    async def run(self, *arguments: str) -> tuple[int, Any]:
        """The exit code, and what it answered in JSON."""
        typed = ["simulate", *arguments, "--state", self._state, "--json", "--lang", "en"]
        said = await asyncio.to_thread(CliRunner().invoke, app, typed)
        return said.exit_code, json.loads(said.stdout or said.stderr)


@pytest.fixture
def commands(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("YUNHUI_MEETINGS_ADDRESS", served.address)
    monkeypatch.setenv("YUNHUI_TOKEN", "booker:li")
    return Commands(tmp_path / "state")


async def test_people_are_played_by_commands(commands: Commands, simulated: Simulated, key: MeetingKey) -> None:
    """Each with its effect, for oneself, another account and a guest."""

    async def states(name: str) -> tuple[bool | None, ...]:
        [own] = [each for each in await simulated.inside(key) if each.display_name == name]
        return own.microphone, own.camera, own.sharing

    assert (await commands.run("enter", CODE))[0] == 0
    assert (await commands.run("enter", CODE, "--guest", "Guest", "--device", "mini-program"))[0] == 0
    assert (await commands.run("enter", CODE, "--account", "wang", "--name", "小王"))[0] == 0
    for who, name in (((), "li"), (("--guest", "Guest"), "Guest"), (("--account", "wang"), "小王")):
        for command, switch, after in (
            ("microphone", "off", (False, False, False)),
            ("camera", "on", (False, True, False)),
            ("share", "ON", (False, True, True)),
            ("camera", "off", (False, False, True)),
            ("microphone", "on", (True, False, True)),
            ("share", "off", (True, False, False)),
        ):
            assert (await commands.run(command, CODE, switch, *who))[0] == 0
            assert await states(name) == after
    assert [each.device for each in await simulated.inside(key)] == [Device.PC, Device.MINI_PROGRAM, Device.PC]
    for word, least in (("bad", BAD[0]), ("good", GOOD[0])):
        await commands.run("connection", CODE, word, "--account", "wang")
        assert least <= ((await simulated.quality(key))[2].delay or 0) <= least + 30
    assert (await commands.run("connection", CODE, "usual", "--account", "wang"))[0] == 0
    assert (await commands.run("leave", CODE, "--guest", "Guest"))[0] == 0
    assert len(await simulated.inside(key)) == 2


async def test_the_waiting_room_by_commands(commands: Commands, simulated: Simulated, key: MeetingKey) -> None:
    assert (await commands.run("wait", CODE, "--account", "wang"))[0] == 0
    assert [each.account for each in await simulated.waiting(key, "li")] == ["wang"]
    assert (await commands.run("stop-waiting", CODE, "--account", "wang"))[0] == 0
    code, said = await commands.run("stop-waiting", CODE, "--account", "wang")
    assert (code, said["error"]["reason"]) != (0, "")
    assert await simulated.waiting(key, "li") == []


async def test_a_meeting_is_filled_by_a_command(commands: Commands, key: MeetingKey) -> None:
    """In steps, which nobody sees."""
    code, said = await commands.run("populate", CODE, "--people", "520", "--waiting", "10", "--seed", "3")
    assert (code, said["insideCount"], said["waitingCount"]) == (0, 510, 10)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("microphone", CODE, "loud"), "BAD_CHOICE"),
        (("connection", CODE, "fine"), "BAD_CHOICE"),
        (("enter", CODE, "--device", "abacus"), "BAD_CHOICE"),
        (("populate", CODE, "--people", "3001"), "AT_MOST"),
        (("populate", CODE, "--people", "0"), "AT_LEAST"),
    ],
)
async def test_what_a_command_does_not_know_is_told(
    commands: Commands, simulated: Simulated, key: MeetingKey, arguments: tuple[str, ...], reason: str
) -> None:
    code, said = await commands.run(*arguments)
    assert (code, said["error"]["reason"]) == (2, reason)
    assert await simulated.inside(key) == []
