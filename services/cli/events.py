"""`yunhui events tail`: what happened and what happens, as any subscriber could see it."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import nats
import nats.errors
import typer
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy

from services.cli import client, event_display, moments
from services.cli.arguments import read_duration, read_moment
from services.cli.event_display import EventFilter
from services.cli.failures import CommandError, ExitCode
from services.cli.feed import Feed, merged
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.messaging import bus
from services.platform.text.messages import Text, message

CONNECT_SECONDS = 3.0
CLOCKS_APART = timedelta(minutes=1)
"""So far the clocks of the machines may be apart; what the server sends too early is left out here."""


def tail(
    terminal: Terminal,
    since: Annotated[
        str, typer.Option("--since", help=message("from when on: 10m (ago), or a moment; only new ones if not given"))
    ] = "",
    only: Annotated[
        str, typer.Option("--filter", help=message("only these, e.g. 'reservation.*' or yunhui.booking.>"))
    ] = event_display.EVERYTHING,
    account: Annotated[str, typer.Option("--account", help=message("only about this account"))] = "",
    reservation: Annotated[str, typer.Option("--reservation", help=message("only about this reservation"))] = "",
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help=message("wait for new ones, or end with what is there"))
    ] = True,
) -> None:
    subjects = event_display.subjects(only)
    wanted = EventFilter(account, reservation, read_since(since, now(terminal)) if since else None)
    asyncio.run(until_stopped(read(terminal, subjects, wanted, follow=follow)))


def read_since(typed: str, now: datetime) -> datetime:
    """'10m' before `now`, or a moment. Raises CommandError."""
    with contextlib.suppress(ValueError):
        return now - moments.parse_duration(typed)
    return read_moment(typed, now) if any(mark in typed for mark in "-: ") else now - read_duration(typed)


def now(terminal: Terminal) -> datetime:
    """By the clock that events are dated with."""
    return development_clock.now(terminal.state) if terminal.state.clock.exists() else datetime.now(UTC)


async def until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C is the usual end, and no failure."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def read(terminal: Terminal, subjects: dict[str, str], wanted: EventFilter, *, follow: bool) -> None:
    narrator = EventNarrator(terminal)
    connection = await connect_patiently(terminal, narrator)
    try:
        feeds = [Feed(connection, stream, subject, narrator) for stream, subject in subjects.items()]
        await asyncio.gather(*(feed.open(*beginning(terminal, wanted, follow=follow)) for feed in feeds))
        terminal.say(message("time ({zone})"), zone=moments.zone_name(terminal.language))
        async for event in merged(feeds):
            show(terminal, event, wanted)
        if follow:
            narrator.say(message("waiting for events ... (Ctrl-C ends)"))
            await asyncio.gather(*(show_live(terminal, feed, wanted) for feed in feeds))
    finally:
        narrator.leaving = True
        await connection.close()


async def show_live(terminal: Terminal, feed: Feed, wanted: EventFilter) -> None:
    async for event in feed.live():
        show(terminal, event, wanted)


def beginning(terminal: Terminal, wanted: EventFilter, *, follow: bool) -> tuple[DeliverPolicy, datetime | None]:
    """Where the server begins. It knows when an event reached it, which is never before the time that it tells of."""
    if wanted.since is None:
        return (DeliverPolicy.NEW if follow else DeliverPolicy.ALL), None
    ahead = now(terminal) - datetime.now(UTC)  # the development clock only gains: it was less ahead before
    return DeliverPolicy.BY_START_TIME, wanted.since.astimezone(UTC) - ahead - CLOCKS_APART


def show(terminal: Terminal, event: Msg, wanted: EventFilter) -> None:
    headers, payload = event.headers or {}, read_payload(event.data)
    if not wanted.includes(headers, payload):
        return
    if not terminal.json:
        terminal.out.print(
            event_display.to_line(terminal, event.subject, headers, payload), markup=False, soft_wrap=True
        )
        return
    # flushed: a reader at the other end of a pipe waits for this line, and may wait long for the next
    print(
        json.dumps({"subject": event.subject, "headers": headers, "data": payload}, ensure_ascii=False),
        flush=True,
    )


def read_payload(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


class EventNarrator:
    """Says what is no event: on stderr, for people and programs alike."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.leaving = False

    def say(self, text: Text, **values: object) -> None:
        self._terminal.err.print(self._terminal.text(text, **values), markup=False, style="dim")

    def away(self, stream: str) -> None:
        self.say(message("the stream {stream} is away; trying again ..."), stream=stream)

    def back(self, stream: str) -> None:
        self.say(message("the stream {stream} is back."), stream=stream)

    async def bus_away(self) -> None:
        if not self.leaving:
            self.say(message("the bus is away; connecting again ..."))

    async def bus_back(self) -> None:
        self.say(message("connected again, going on from where it was."))


async def connect(terminal: Terminal, user: str) -> Client:
    """As YUNHUI_NATS_* say, else as `user` of the development bus. Raises CommandError."""
    return await _connect(terminal, user, allow_reconnect=False)


async def connect_patiently(terminal: Terminal, narrator: EventNarrator) -> Client:
    """As a subscriber who stays: the bus must be there now, and may be away later. Raises CommandError."""
    await (await connect(terminal, "subscriber")).close()
    return await _connect(
        terminal,
        "subscriber",
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,
        disconnected_cb=narrator.bus_away,
        reconnected_cb=narrator.bus_back,
    )


async def _connect(terminal: Terminal, user: str, **options: Any) -> Client:
    url, name, password = bus_login(terminal, user)
    login = {"user": name, "password": password, "inbox_prefix": f"_INBOX_{name}", "error_cb": _quiet}
    try:
        return await nats.connect(url, connect_timeout=CONNECT_SECONDS, **login, **bus_tls(), **options)
    except (TimeoutError, OSError, nats.errors.Error) as error:
        raise CommandError(FailureReason.BUS_AWAY, ExitCode.AWAY, address=url) from error


def bus_tls() -> dict[str, Any]:
    """As YUNHUI_NATS_CA, _CERTIFICATE and _KEY say. Raises OSError."""
    given = (os.environ.get(f"YUNHUI_NATS_{name}") for name in ("CA", "CERTIFICATE", "KEY"))
    return bus.tls_options(*(Path(each) if each else None for each in given))


def bus_login(terminal: Terminal, user: str) -> tuple[str, str, str]:
    if "YUNHUI_NATS_URL" in os.environ:
        environment = os.environ
        return (
            environment["YUNHUI_NATS_URL"],
            environment.get("YUNHUI_NATS_USER", user),
            environment.get("YUNHUI_NATS_PASSWORD", ""),
        )
    url = terminal.state.read_run().get("nats")
    if not url:
        raise CommandError(FailureReason.NOT_RUNNING, ExitCode.AWAY)
    if not terminal.state.exists():
        raise client.no_state(terminal)
    return str(url), user, terminal.state.password(user)


async def _quiet(_error: Exception) -> None:
    """The caller gets the error itself."""
