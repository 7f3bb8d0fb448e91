"""`yunhui events tail` on a running installation: the past, the present, and a bus that is away."""

import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until
from tests.system.stack import COMMAND, ENVIRONMENT, Stack, wait_for
from tools.contracts import ROOT

pytestmark = pytest.mark.system

BOOKED = ("--filter", "yunhui.booking.>")  # the notices about it would come in between

LINE_SECONDS = 60.0


@contextmanager
def tail(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """From the moment the command says that it waits."""
    command = [*COMMAND, "events", "tail", "--lang", "en", *options]
    with subprocess.Popen(command, env=ENVIRONMENT | environment, stdout=PIPE, stderr=PIPE, text=True) as tailing:
        assert tailing.stderr
        assert "waiting" in tailing.stderr.readline()
        deadline = threading.Timer(LINE_SECONDS, tailing.kill)  # a line that never comes must not hang the test
        deadline.start()
        try:
            yield tailing
        finally:
            deadline.cancel()
            tailing.kill()


def next_event(tailing: "subprocess.Popen[str]") -> dict[str, Any]:
    assert tailing.stdout
    content: dict[str, Any] = json.loads(tailing.stdout.readline())
    return content


def past(stack: Stack, *options: str) -> list[dict[str, Any]]:
    said = stack.yunhui("events", "tail", "--no-follow", "--json", *options)
    assert said.code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["subject"].removeprefix("yunhui.booking.") for event in events]


def test_the_past_can_be_read(stack: Stack) -> None:
    """In order, by account, by reservation, by type; the same events each time."""
    booker = stack.login("booker", "historian")
    made = booker.reserve("2025-07-09 08:00").answer["reservation"]["reservationId"]
    booker.yunhui("change", made, "--minutes", "41")
    booker.yunhui("cancel", made)
    booker.reserve("2025-07-20 08:00")
    mine = wait_for(lambda: all_four(past(stack, *BOOKED, "--account", "historian")))
    assert types(mine) == [
        "reservation.confirmed",
        "reservation.updated",
        "reservation.cancelled",
        "reservation.denied",
    ]
    assert [event["headers"]["ce-sequence"] for event in mine] == ["1", "2", "3", "1"]
    assert past(stack, *BOOKED, "--reservation", made) == mine[:3]
    assert past(stack, "--account", "historian", "--filter", "*.cancelled") == [mine[2]]
    assert past(stack, "--account", "historian", "--filter", "account.*") == []


def all_four(events: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return events if len(events) == 4 else None


def test_the_past_begins_where_it_is_said_to(stack: Stack) -> None:
    """By the time that events are dated with, however far the development clock is from the real one."""
    booker = stack.login("booker", "since")
    booker.reserve("2025-07-09 08:00")
    event = wait_for(lambda: past(stack, *BOOKED, "--account", "since"))[0]
    stack.yunhui("clock", "advance", "2m")
    assert past(stack, *BOOKED, "--account", "since", "--since", "1m") == []
    assert past(stack, *BOOKED, "--account", "since", "--since", "10m") == [event]
    assert past(stack, *BOOKED, "--account", "since", "--since", event["headers"]["ce-time"]) == [event]
    assert past(stack, *BOOKED, "--account", "since", "--since", "2025-07-07 08:00") == [event]
    assert stack.yunhui("events", "tail", "--since", "soon").code == 2


def test_the_past_goes_over_into_the_present(stack: Stack) -> None:
    """One order, no gap, no repeat; lines for people in their language; Ctrl-C is no failure."""
    booker = stack.login("booker", "flowing")
    made = booker.reserve("2025-07-09 08:00").answer["reservation"]["reservationId"]
    wait_for(lambda: past(stack, *BOOKED, "--account", "flowing"))
    with tail(*BOOKED, "--since", "1d", "--account", "flowing", "--state", str(stack.state)) as tailing:
        booker.yunhui("cancel", made)
        assert tailing.stdout
        heading, *lines = [tailing.stdout.readline() for _ in range(3)]
        tailing.send_signal(signal.SIGINT)
        rest = tailing.communicate(timeout=PATIENCE_SECONDS)
    assert heading == "time (Beijing time)\n"
    assert [("confirmed" in line, "cancelled" in line, made in line) for line in lines] == [
        (True, False, True),
        (False, True, True),
    ]
    assert (tailing.returncode, rest) == (0, ("", ""))
    said = stack.yunhui("events", "tail", "--no-follow", "--reservation", made, "--lang", "zh-CN").out
    assert "已取消" in said
    assert "北京时间" in said


def test_the_policy_has_its_own_events_in_the_same_list(stack: Stack) -> None:
    """The streams are read side by side, as they were published: oldest first of each program, except that notices are
    published as they are taken."""
    stack.login("booker", "before").reserve("2025-07-09 08:00")
    wait_for(lambda: past(stack, "--account", "before"))
    events = past(stack)
    for program in ("booking", "policy", "meetings"):
        times = [event["headers"]["ce-time"] for event in events if event["subject"].split(".")[1] == program]
        assert times == sorted(times)
    assert {event["subject"].split(".")[1] for event in events} >= {"booking", "policy"}


def test_a_bus_that_dies_is_told_and_tail_goes_on(stack: Stack) -> None:
    """kill -9 of nats-server: what happened meanwhile is shown, and nothing twice."""
    booker = stack.login("booker", "patient")
    with tail(*BOOKED, "--json", "--account", "patient", "--state", str(stack.state)) as tailing:
        first = booker.reserve("2025-07-11 08:00").answer["reservation"]["reservationId"]
        assert next_event(tailing)["data"]["reservation"]["reservationId"] == first
        old = stack.pids["nats"]
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: stack.pids["nats"] != old)
        wait_for(lambda: booker.yunhui("cancel", first).code == 0)
        event = next_event(tailing)
        assert (event["subject"], event["headers"]["ce-sequence"]) == ("yunhui.booking.reservation.cancelled", "2")
        tailing.terminate()
        assert tailing.wait(timeout=PATIENCE_SECONDS) == 0
        assert tailing.stderr
        assert "connecting again" in tailing.stderr.read()


async def test_a_stream_that_is_deleted_and_built_again_is_told(tmp_path: Path) -> None:
    """Events that come again, under the same ids, are not shown again."""
    server = Bus(tmp_path / "nats")
    await server.start()
    await server.set_up()
    login = {"YUNHUI_NATS_URL": server.url, "YUNHUI_NATS_USER": "subscriber"}
    with tail("--json", "--filter", "reservation.*", **login, YUNHUI_NATS_PASSWORD=password("subscriber")) as tailing:
        assert tailing.stderr
        await server.publish({}, b"{}", "yunhui.booking.reservation.confirmed")  # no event: it has no id
        await server.publish(headers("one"), b"{}")
        assert next_event(tailing)["headers"]["ce-id"] == "one"
        admin = await server.connect()
        await admin.jetstream().delete_stream("BOOKING")
        await until(lambda: b"BOOKING" in tailing.stderr.readline().encode())
        await server.set_up()
        await server.publish(headers("one"), b"{}")
        await server.publish(headers("two"), b"{}")
        assert next_event(tailing)["headers"]["ce-id"] == "two"
        assert "is back" in tailing.stderr.readline()
        await admin.close()
    await server.stop()


def headers(event_id: str) -> dict[str, str]:
    return {"ce-id": event_id, "ce-type": "yunhui.booking.reservation.confirmed", "Nats-Msg-Id": event_id}


def commands() -> list[list[str]]:
    """Those of docs/events.md."""
    blocks = (ROOT / "docs" / "events.md").read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for block in blocks for line in block.splitlines() if line]
    return [shlex.split(line.removeprefix(".venv/bin/yunhui ")) for line in lines]


def test_the_commands_of_the_page_for_integrators_work(stack: Stack) -> None:
    """As they stand there, one after the other."""
    assert [" ".join(command[:2]) for command in commands()].count("events tail") >= 4
    for command in commands():
        said = stack.yunhui(*command)
        assert said.code == 0, (command, said.err)
