"""`yunhui events tail`: follows what happens, as any subscriber could."""

import asyncio
import json
import os
import signal
from typing import Annotated, Any

import nats
import nats.errors
import typer
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.cli import client, texts
from services.cli.failures import CommandError, ExitCode
from services.cli.terminal import Terminal

EVERYTHING = "yunhui.>"


def tail(
    terminal: Terminal,
    only: Annotated[str, typer.Option("--filter", help=texts.OPTION_FILTER.help)] = EVERYTHING,
) -> None:
    asyncio.run(follow(terminal, only))


async def follow(terminal: Terminal, only: str) -> None:
    if not only.startswith("yunhui."):
        raise CommandError(texts.BAD_CHOICE, ExitCode.USAGE, typed=only, choices=EVERYTHING)
    connection = await connect(terminal, "subscriber")

    async def tell(message: Msg) -> None:
        show_event(terminal, message)

    await connection.subscribe(only, cb=tell)
    await connection.flush()
    terminal.err.print(terminal.text(texts.WAITING_FOR_EVENTS), style="dim")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await connection.close()


def show_event(terminal: Terminal, message: Msg) -> None:
    headers = message.headers or {}
    payload = read_payload(message.data)
    if terminal.json:
        # flushed: a reader at the other end of a pipe waits for this line, and may wait long for the next
        print(
            json.dumps({"subject": message.subject, "headers": headers, "data": payload}, ensure_ascii=False),
            flush=True,
        )
        return
    time = headers.get("ce-time", "")
    terminal.out.print(f"{time}  {message.subject}  {subject_matter(payload)}", markup=False, soft_wrap=True)


def read_payload(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def subject_matter(payload: dict[str, Any]) -> str:
    """Who, what and which rules, as far as the event says."""
    record = payload.get("reservation") or payload.get("request") or {}
    who = (record.get("organizer") or payload.get("account") or {}).get("accountId", "")
    rules = ",".join(rule.get("ruleId", "") for rule in (payload.get("decision") or {}).get("rules", ()))
    return "  ".join(filter(None, [who, record.get("reservationId", ""), record.get("subject", ""), rules]))


async def connect(terminal: Terminal, user: str) -> Client:
    """As YUNHUI_NATS_* say, else as `user` of the development bus. Raises CommandError."""
    url, name, password = bus_login(terminal, user)
    try:
        return await nats.connect(
            url,
            user=name,
            password=password,
            inbox_prefix=f"_INBOX_{name}",
            allow_reconnect=False,
            connect_timeout=3,
            error_cb=_quiet,
        )
    except (TimeoutError, OSError, nats.errors.Error) as error:
        raise CommandError(texts.BUS_AWAY, ExitCode.AWAY, address=url) from error


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
        raise CommandError(texts.NOT_RUNNING, ExitCode.AWAY)
    if not terminal.state.exists():
        raise client.no_state(terminal)
    return str(url), user, terminal.state.password(user)


async def _quiet(_error: Exception) -> None:
    """The caller gets the error itself."""
