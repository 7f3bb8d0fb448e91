"""docs/asyncapi.yaml is fresh, is an AsyncAPI 3 document, and names the events that the code publishes."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from services.booking import states
from services.cli import event_display
from services.meetings import recording_acts
from services.meetings.control_acts import EVENTS
from services.meetings.webhook_event import Kind
from services.notifier.models import DeliveryState
from tests.nodejs import install
from tools import asyncapi
from tools.contracts import Contracts

SERVICES = Path(states.__file__).parents[1]


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return Contracts.read()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(asyncapi.DOCUMENT.read_text(encoding="utf-8"))
    return content


def test_the_document_is_fresh(contracts: Contracts) -> None:
    """`python -m tools.asyncapi` makes it."""
    assert asyncapi.DOCUMENT.read_text(encoding="utf-8") == asyncapi.render(contracts, asyncapi.read_examples())


def test_the_page_for_integrators_has_a_fresh_table(contracts: Contracts) -> None:
    """And names no event, anywhere in its text, that does not exist."""
    page = asyncapi.PAGE.read_text(encoding="utf-8")
    assert page == asyncapi.with_table(page, contracts.events())
    types = {event.subject for event in contracts.events()}
    named = set(re.findall(r"`(yunhui\.[a-z_]+\.[a-z_]+\.[a-z_]+)`", page))
    assert named == types
    short = {event.short for event in contracts.events()}
    entities = "|".join({name.partition(".")[0] for name in short})
    assert set(re.findall(rf"`((?:{entities})\.[a-z_]+)`", page)) <= short


def test_every_event_has_a_recorded_example(contracts: Contracts) -> None:
    """Recorded by tests/system/test_asyncapi.py with GOLDEN=write."""
    assert list(asyncapi.read_examples()) == [event.subject for event in contracts.events()]


def test_the_contract_names_what_the_code_publishes(contracts: Contracts) -> None:
    """Literals of the functions that make events, and the table of the life of a reservation."""
    assert {event.subject for event in contracts.events()} == set(published())


def published() -> Iterator[str]:
    yield from (f"yunhui.booking.reservation.{name}" for name in life_events())
    yield from (f"yunhui.booking.reservation.{name}" for name in chosen("booking/reservations.py", "name"))
    yield from (f"yunhui.booking.account.{name}" for name in arguments("booking/standing.py", "account_event", 0))
    yield from (f"yunhui.booking.account.{name}" for name in arguments("booking/objections.py", "_append_event", 0))
    yield from (f"yunhui.policy.version.{name}" for name in chosen("policy/versions.py", "kind"))
    yield from (f"yunhui.directory.{name}" for name in directory_events())
    yield from (f"yunhui.meetings.meeting.{kind}" for kind in Kind)
    yield from (f"yunhui.meetings.recording.{name}" for name in recording_acts.EVENTS.values())
    yield from (f"yunhui.meetings.control.{name}" for name in EVENTS.values())
    yield from (f"yunhui.notifier.delivery.{state}" for state in (DeliveryState.SENT, DeliveryState.FAILED))


def life_events() -> set[str]:
    rows = re.findall(r"\| reservation\.([a-z_]+) \|", states.to_page())
    assert rows
    return set(rows)


def directory_events() -> Iterator[str]:
    changes = "directory/department_changes.py"
    yield from (f"department.{name}" for name in arguments(changes, "_changed", 1) | arguments(changes, "_removed", 1))
    members = "directory/members.py"
    yield from (f"member.{name}" for name in arguments(members, "_told", 3) | arguments(members, "event_of", 0))
    yield from (f"member.{name}" for name in chosen(members, "what"))
    for path in ("directory/organization.py", "directory/licences.py", "directory/visibility.py"):
        yield from arguments(path, "changes.event", 0)
    transfers, roles = "directory/transfers.py", "directory/role_changes.py"
    yield from (f"organization.transfer_{name}" for name in arguments(transfers, "_event", 0))
    yield from (f"role.{name}" for name in arguments(roles, "_told", 3) | arguments(roles, "_event", 0))
    yield from (f"binding.{name}" for name in arguments("directory/bindings.py", "_event", 0))


def chosen(path: str, variable: str) -> set[str]:
    """Both values of `variable = "a" if ... else "b"`."""
    tree = ast.parse((SERVICES / path).read_text(encoding="utf-8"))
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [variable]
    ]
    found = {
        end.value
        for value in values
        if isinstance(value, ast.IfExp)
        for end in (value.body, value.orelse)
        if isinstance(end, ast.Constant) and isinstance(end.value, str)
    }
    assert found, f"{path} has no such choice any more: say here where its events are named"
    return found


def arguments(path: str, function: str, place: int) -> set[str]:
    """What `function` is given at that place, where it is a literal."""
    calls = [node for node in ast.walk(ast.parse((SERVICES / path).read_text())) if isinstance(node, ast.Call)]
    return {
        argument.value
        for call in calls
        if ast.unparse(call.func) == function
        for argument in call.args[place : place + 1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_every_event_has_words_for_people(contracts: Contracts) -> None:
    """`yunhui events tail` says it in both languages."""
    assert set(event_display.NAMES) == {event.subject for event in contracts.events()}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """The schema of AsyncAPI does not look."""
    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (part["$ref"],) if "$ref" in part else ()
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_part_of_a_payload_is_described(document: dict[str, Any]) -> None:
    """With the words of the proto files."""
    for name, schema in document["components"]["schemas"].items():
        if name != "Headers":
            assert schema["description"], name
        for field, value in schema.get("properties", {}).items():
            assert value.get("description") or "const" in value, f"{name}.{field}"


def test_the_document_is_valid_by_the_official_schema(document: dict[str, Any], tmp_path: Path) -> None:
    """The one that the makers of AsyncAPI publish; and it does find faults."""
    packages = install(Path(__file__).parent, tmp_path)
    schema = json.loads((packages / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json").read_text())
    validator = Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert list(validator.iter_errors({**document, "channels": {"x": {"adress": "x"}}}))
