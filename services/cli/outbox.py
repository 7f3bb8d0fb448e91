"""`yunhui outbox`: how far the publication of events has come, and rebuilding a stream that was lost (admin)."""

import asyncio
import json
import time
from typing import Annotated

import nats.errors
import typer
from google.protobuf.json_format import MessageToDict
from nats.js.errors import NotFoundError
from rich.progress import Progress
from rich.table import Table
from rich.text import Text as Styled
from yunhui.outbox.v1 import outbox_service_pb2 as api
from yunhui.outbox.v1.outbox_service_pb2_grpc import OutboxServiceStub

from services.cli import client, events, moments
from services.cli.arguments import read_choice
from services.cli.client import Connection
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation.registry import EVENT_STREAMS
from services.platform.text.messages import message

POLL_SECONDS = 0.2


def status(terminal: Terminal) -> None:
    answers = {}
    for program in EVENT_STREAMS:
        with open_outbox(terminal, program) as outbox:
            answers[program] = outbox.ask(outbox.stub.GetOutboxStatus, api.GetOutboxStatusRequest())
    lengths = asyncio.run(count_messages(terminal))
    if terminal.json:
        content = {name: MessageToDict(answer) | {"streamMessages": lengths[name]} for name, answer in answers.items()}
        print(json.dumps(content, ensure_ascii=False))
    else:
        show_status(terminal, answers, lengths)


def replay(
    terminal: Terminal,
    program: Annotated[str, typer.Argument(metavar="|".join(EVENT_STREAMS))],
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help=message("publish all again (default: after the last event in the stream)")),
    ] = False,
) -> None:
    program = read_choice(program, tuple(EVENT_STREAMS))
    after = "" if from_start else asyncio.run(last_in_stream(terminal, EVENT_STREAMS[program]))
    with open_outbox(terminal, program) as outbox:
        number = outbox.ask(outbox.stub.ReplayOutbox, api.ReplayOutboxRequest(after_event_id=after)).event_count
        wait_until_published(terminal, outbox)
    terminal.print_json({"published": number, "after": after})
    terminal.say(
        message("{number} events were published again to the stream {stream}."),
        number=number,
        stream=EVENT_STREAMS[program],
    )


def wait_until_published(terminal: Terminal, outbox: Connection[OutboxServiceStub]) -> None:
    """Shows how it goes. What is not published when somebody gives up waiting, is published all the same."""
    with Progress(console=terminal.err, transient=True, disable=terminal.json) as progress:
        task = progress.add_task(terminal.text(message("publishing")), total=None)
        while waiting := outbox.ask(outbox.stub.GetOutboxStatus, api.GetOutboxStatusRequest()).waiting_count:
            total = max(progress.tasks[0].total or 0, waiting)
            progress.update(task, total=total, completed=total - waiting)
            time.sleep(POLL_SECONDS)


def open_outbox(terminal: Terminal, program: str) -> Connection[OutboxServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    return Connection(OutboxServiceStub, client.address_of(terminal, program), client.token(terminal))


async def last_in_stream(terminal: Terminal, stream: str) -> str:
    """The id of the last event that the stream has; "" when it is empty. Raises CommandError."""
    connection = await events.connect(terminal, "admin")
    try:
        jetstream = connection.jetstream()
        last = (await jetstream.stream_info(stream)).state.last_seq
        message = await jetstream.get_msg(stream, seq=last)
    except NotFoundError as error:
        if error.err_code == NO_MESSAGE:
            return ""
        raise CommandError(FailureReason.NO_STREAM, ExitCode.OTHER, stream=stream) from error
    except (TimeoutError, nats.errors.Error) as error:
        raise CommandError(FailureReason.BUS_AWAY, ExitCode.AWAY, address=connection.connected_url or "") from error
    finally:
        await connection.close()
    return str((message.headers or {}).get("ce-id", ""))


NO_MESSAGE = 10037


async def count_messages(terminal: Terminal) -> dict[str, int | None]:
    """By program; None where there is no stream. Raises CommandError."""
    connection = await events.connect(terminal, "admin")
    counts: dict[str, int | None] = dict.fromkeys(EVENT_STREAMS)
    try:
        for program, stream in EVENT_STREAMS.items():
            try:
                counts[program] = (await connection.jetstream().stream_info(stream)).state.messages
            except NotFoundError:
                continue
    finally:
        await connection.close()
    return counts


def show_status(
    terminal: Terminal, answers: dict[str, api.GetOutboxStatusResponse], lengths: dict[str, int | None]
) -> None:
    table = Table()
    for text in (
        message("program"),
        message("stored"),
        message("waiting"),
        message("waiting since"),
        message("in stream"),
    ):
        table.add_column(terminal.text(text), justify="right" if text is not message("program") else "left")
    table.add_column(terminal.text(message("published by")), overflow="fold")
    for name, answer in answers.items():
        oldest = answer.oldest_waiting_time
        since = moments.show(oldest, terminal.language) if oldest.seconds else ""
        length = lengths[name]
        table.add_row(
            name,
            str(answer.last_number),
            Styled(str(answer.waiting_count), "yellow" if answer.waiting_count else ""),
            since,
            Styled(terminal.text(message("missing")), "red") if length is None else str(length),
            Styled(answer.owner),
        )
    terminal.out.print(table)
