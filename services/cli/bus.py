"""`yunhui bus setup`: the one admin step that makes streams and consumers as topology.py declares them."""

import asyncio
import json

import nats.errors
from nats.js.errors import APIError

from services.cli import events
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import topology
from services.installation.topology import Applied
from services.platform.text.messages import message

SENTENCES = {
    "created": message("{name}: created"),
    "updated": message("{name}: updated ({settings})"),
    "unchanged": message("{name}: as declared, nothing to do"),
}


def setup(terminal: Terminal) -> None:
    done = asyncio.run(apply_topology(terminal))
    terminal.print_json({"streams_and_consumers": [to_json(each) for each in done]})
    for each in done:
        terminal.say(SENTENCES[each.did], name=each.name, settings=settings(each))


async def apply_topology(terminal: Terminal) -> list[Applied]:
    """Raises CommandError."""
    connection = await events.connect(terminal, "admin")
    try:
        return await topology.apply(connection)
    except topology.TopologyRefusedError as error:
        raise CommandError(FailureReason.BUS_REFUSED, name=error.name, reason=error.reason) from error
    except (TimeoutError, nats.errors.Error, APIError) as error:
        # the answer to a user who may not administer is silence
        raise CommandError(FailureReason.BUS_NOT_SET_UP, ExitCode.AWAY, reason=type(error).__name__) from error
    finally:
        await connection.close()


def to_json(applied: Applied) -> dict[str, object]:
    changed = {name: {"before": before, "after": after} for name, (before, after) in (applied.changed or {}).items()}
    return {"name": applied.name, "did": applied.did, "changed": changed}


def settings(applied: Applied) -> str:
    return ", ".join(
        f"{name}: {json.dumps(before, default=str)} -> {json.dumps(after, default=str)}"
        for name, (before, after) in (applied.changed or {}).items()
    )
