"""Makes docs/asyncapi.yaml and the table in docs/events.md of proto/ and recorded events: `python -m tools.asyncapi`.

Events are taken up from lines like `yunhui.meetings.meeting.entered: somebody entered.` in the comment of the message
that is their payload.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from services.installation import topology
from services.installation.programs import DEFAULT_PORTS, HOST
from services.platform.messaging import bus
from tools.contracts import ROOT, Contracts, EventType

DOCUMENT = ROOT / "docs" / "asyncapi.yaml"
PAGE = ROOT / "docs" / "events.md"
EXAMPLES = ROOT / "docs" / "events.examples.json"
"""One real event of each type, recorded by GOLDEN=write make test ARGS=tests/system/test_asyncapi.py"""

NOTE = "# Made by `python -m tools.asyncapi`; do not edit.\n"
MARKED = re.compile(r"(<!-- events:.*?-->\n).*?(<!-- end of events -->)", re.DOTALL)
DESCRIPTION = (
    "What happens, as CloudEvents 1.0 in the NATS binary binding with a proto3 JSON payload, kept in JetStream. "
    "At least once, in order for each `ce-subject`, with a stable `ce-id`: whoever keeps the ids sees each event once. "
    "docs/events.md is the page for people."
)
HEADERS: Mapping[str, dict[str, Any]] = {
    "Nats-Msg-Id": {"description": "Equal to ce-id: JetStream drops what comes again within an hour."},
    "ce-specversion": {"const": "1.0"},
    "ce-id": {
        "description": "Stable, unique: an event that comes again has the same. Keep it, to act once.",
        "minLength": 1,
    },
    "ce-type": {"description": "Equal to the subject that it was published under."},
    "ce-source": {"description": "/yunhui/ and the owner.", "pattern": "^/yunhui/[a-z]+$"},
    "ce-subject": {"description": "Id of the entity; its events come in order.", "minLength": 1},
    "ce-time": {"description": "When it happened, by the clock of the installation.", "format": "date-time"},
    "ce-sequence": {
        "description": "Counts the events of the entity, from 1, without gaps.",
        "pattern": "^[1-9][0-9]*$",
    },
    "content-type": {"const": "application/json"},
}


class Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: readers do not follow YAML's anchors gladly."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def render(contracts: Contracts, examples: Mapping[str, Any]) -> str:
    """The document as YAML."""
    content = document(contracts, examples)
    return NOTE + yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)


def document(contracts: Contracts, examples: Mapping[str, Any]) -> dict[str, Any]:
    events = contracts.events()
    return {
        "asyncapi": "3.0.0",
        "info": information(),
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": {event.subject: channel(event) for event in events},
        "operations": {f"send {event.subject}": operation(event) for event in events},
        "components": {
            "messages": {event.subject: message(event, examples.get(event.subject)) for event in events},
            "schemas": {"Headers": headers()}
            | contracts.schemas(list(dict.fromkeys(event.payload for event in events))),
            "securitySchemes": {"user": {"type": "userPassword", "description": "A NATS user, such as `subscriber`."}},
        },
    }


def information() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "title": "yunhui events",
        "version": project["version"],
        "description": DESCRIPTION,
        "license": {"name": project["license"]},
    }


def servers() -> dict[str, Any]:
    security = [{"$ref": "#/components/securitySchemes/user"}]
    return {
        "development": {
            "host": f"{HOST}:{DEFAULT_PORTS['nats']}",
            "protocol": "nats",
            "description": "As `yunhui up` starts it; the password of `subscriber` is in .yunhui/secrets.json.",
            "security": security,
        },
        "production": {
            "host": "{host}:4222",
            "protocol": "nats",
            "description": "As compose.yaml has it; the password is NATS_SUBSCRIBER_PASSWORD.",
            "variables": {"host": {"description": "Where the bus is.", "default": "nats"}},
            "security": security,
        },
    }


def channel(event: EventType) -> dict[str, Any]:
    return {
        "address": event.subject,
        "description": event.meaning,
        "messages": {"event": {"$ref": f"#/components/messages/{event.subject}"}},
        "x-jetstream-stream": stream_of(event),
    }


def operation(event: EventType) -> dict[str, Any]:
    place = f"#/channels/{event.subject}"
    return {"action": "send", "channel": {"$ref": place}, "messages": [{"$ref": f"{place}/messages/event"}]}


def message(event: EventType, example: Mapping[str, Any] | None) -> dict[str, Any]:
    said = {
        "name": event.short,
        "summary": event.meaning,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": f"#/components/schemas/{event.payload}"},
    }
    return said | ({"examples": [{"name": "recorded", **example}]} if example else {})


def headers() -> dict[str, Any]:
    """Exactly those that platform/messaging/bus.py writes. Raises KeyError for one that nobody has described."""
    names = list(bus.headers(bus.Event("", "yunhui.owner.entity.event", "", 1, 0, "")))
    properties = {name: {"type": "string"} | HEADERS[name] for name in names}
    other = {"^Nats-": {"type": "string", "description": "JetStream's own, of no meaning to subscribers."}}
    return {"type": "object", "required": names, "properties": properties, "patternProperties": other}


def stream_of(event: EventType) -> str:
    """Raises StopIteration when topology.py declares no stream for the owner."""
    return next(str(each.name) for each in topology.STREAMS if f"yunhui.{event.owner}.>" in (each.subjects or []))


def with_table(page: str, events: Sequence[EventType]) -> str:
    """The page with a fresh table between its two marks."""
    rows = [f"| `{event.subject}` | {event.meaning} |" for event in events]
    table = "\n".join(["", "| subject | when |", "|---|---|", *rows, "", ""])
    return MARKED.sub(lambda found: found[1] + table + found[2], page)


def read_examples() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8")) if EXAMPLES.exists() else {}
    return recorded


def write(contracts: Contracts) -> None:
    DOCUMENT.write_text(render(contracts, read_examples()), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), contracts.events()), encoding="utf-8")


if __name__ == "__main__":
    write(Contracts.read())
