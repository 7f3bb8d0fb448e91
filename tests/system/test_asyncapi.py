"""Every event, as a running installation publishes it, against docs/asyncapi.yaml; they are recorded as its examples.

After a change of an event: GOLDEN=write make test ARGS=tests/system/test_asyncapi.py, then python -m tools.asyncapi.
"""

import copy
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
import yaml
from jsonschema import Draft7Validator, FormatChecker
from yunhui.directory.v1 import organization_service_pb2 as organization_pb
from yunhui.directory.v1 import role_service_pb2 as role_pb
from yunhui.directory.v1.organization_service_pb2_grpc import OrganizationServiceStub
from yunhui.directory.v1.role_service_pb2_grpc import RoleServiceStub
from yunhui.meetings.v1 import control_service_pb2 as control_pb
from yunhui.meetings.v1 import listed_meeting_pb2 as listed_pb
from yunhui.meetings.v1 import meeting_service_pb2 as meetings_pb
from yunhui.meetings.v1.control_service_pb2_grpc import ControlServiceStub
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub

from services.directory.beginning import PROGRAM
from services.installation.state import State
from services.meetings.ledger_models import CONTROL_ACT
from services.policy import versions
from tests.system.stack import MONDAY, Person, Stack, wait_for
from tools import asyncapi

pytestmark = [pytest.mark.system, pytest.mark.long]

RULES = Path(versions.__file__).parent / "rules" / "default.yaml"
Recorded = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(asyncapi.DOCUMENT.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> Iterator[list[Recorded]]:
    """All that an installation published while everything happened in it that can."""
    stack = Stack(tmp_path_factory.mktemp("events"), YUNHUI_SUPER_ADMINISTRATOR="root")
    stack.start("--clock", MONDAY, "--portal", "off")
    with gone() as address:
        stack.login("admin").yunhui("webhooks", "add", address)
        play(stack)
    missing = set(document["channels"])

    def all_told() -> list[Recorded] | None:
        said = stack.yunhui("events", "tail", "--no-follow", "--json")
        events = [json.loads(line) for line in said.out.splitlines()]
        missing.difference_update(event["subject"] for event in events)
        return events if not missing else None

    try:
        yield wait_for(all_told)
    except AssertionError:
        pytest.fail(f"the story has no {sorted(missing)}: add what leads to them")
    finally:
        stack.stop()


def play(stack: Stack) -> None:
    """A Monday in which each event happens."""
    booker, support, service = stack.login("booker", "ada"), stack.login("support"), stack.login("service")
    booker.reserve("2025-07-20 10:00")  # denied: too far ahead
    stack.login("booker", "host").reserve("2025-07-20 10:00")  # and is known from now on
    booker.reserve("2025-07-08 10:00", minutes=30)  # redirected: too short
    moved = reserve(booker, "2025-07-08 10:00")
    booker.yunhui("change", moved, "--minutes", "90")
    booker.yunhui("cancel", moved, "--note", "改期")
    reserve(booker, "2025-07-10 10:00")
    handed = support.yunhui("hand-over", "ada", "--to", "host")
    assert handed.code == 0, handed.err
    used = reserve(booker, "2025-07-07 09:00")
    service.yunhui("entered", used)  # before the start
    large = stack.login("booker", "grace")
    support.yunhui("approve", reserve(large, "2025-07-08 10:00", 120), "--note", "see you")
    support.yunhui("decline", reserve(large, "2025-07-09 10:00", 120), "--note", "too many")
    reserve(large, "2025-07-07 10:00", 120)  # expires
    absent = stack.login("booker", "alan")
    for start in ("2025-07-07 09:00", "2025-07-07 11:00"):  # released twice: suspended
        reserve(absent, start)
    publish(stack.login("admin"))
    stack.yunhui("clock", "set", "2025-07-07 09:05")
    service.yunhui("entered", used)
    booker.yunhui("end", used)
    stack.yunhui("clock", "set", "2025-07-07 12:00")
    meet(stack, stack.login("booker", "host"))
    second = wait_for(lambda: suspended_by(absent))
    absent.yunhui("object", second, "--because", "the network was down")
    support.yunhui("dismiss", second, "--note", "it was up")
    support.yunhui("waive", second, "--note", "the network was down")
    organize(stack.login("admin"))
    empower(stack)


def meet(stack: Stack, host: Person) -> None:
    """Two meetings at the simulated provider, with all that can happen to one."""
    for code in ("111-222-333", "444-555-666"):
        host.yunhui("simulate", "meeting", code, "--start", "2025-07-08 10:00", "--minutes", "60")
    assert host.yunhui("reserve", "--meeting", "111-222-333", "--people", "12", "--yes").code == 0
    host.yunhui("simulate", "move", "111-222-333", "--start", "2025-07-08 11:00")
    host.yunhui("simulate", "enter", "111-222-333")
    steer(stack, stack.login("admin"))
    for act in ("record", "stop-recording", "leave", "end"):
        host.yunhui("simulate", act, "111-222-333")
    [recording] = host.yunhui("recordings", "list").answer["recordings"]
    assert host.yunhui("recordings", "share", recording["recordingId"], "organization").code == 0
    assert host.yunhui("recordings", "delete", recording["recordingId"], "--yes").code == 0
    assert host.yunhui("simulate", "cancel", "444-555-666").code == 0


def steer(stack: Stack, admin: Person) -> None:
    """What is done, what is refused, and what nobody knows of, since whoever did it has gone."""
    with grpc.insecure_channel(stack.run["meetings"]) as channel:
        meetings, control, signature = MeetingServiceStub(channel), ControlServiceStub(channel), signed(admin)
        running = meetings_pb.ListMeetingsRequest(phase=listed_pb.MEETING_PHASE_RUNNING, meeting_code="111222333")
        key = meetings.ListMeetings(running, metadata=signature).meetings[0].meeting
        order = control_pb.ControlOrder(meeting=key, request_id="muted-all", reason="a phone rings")
        settings = control_pb.RunningSettings(mute_all=True)
        control.ChangeMeetingSettings(
            control_pb.ChangeMeetingSettingsRequest(order=order, settings=settings), metadata=signature
        )
        order = control_pb.ControlOrder(meeting=key, request_id="nobody-there")
        nobody = control_pb.StopVideoRequest(order=order, target=listed_pb.Target(person_id="nobody"))
        refused = control.StopVideo(nobody, metadata=signature).act
        assert refused.outcome == control_pb.CONTROL_OUTCOME_REFUSED
    engine = sa.create_engine(f"sqlite:///{State(stack.state).database('meetings')}")
    with engine.begin() as connection:
        row = dict(connection.execute(sa.select(CONTROL_ACT)).mappings().first() or {})
        under_way = {"act_id": f"{row['act_id']}x", "request_id": "nobody-knows", "outcome": "", "finish_time": None}
        connection.execute(sa.insert(CONTROL_ACT), [row | under_way | {"give_up_time": 1}])
    engine.dispose()


def organize(admin: Person) -> None:
    """A small organization: people and departments come, change and go."""
    zhao = ("--name", "赵敏", "--email", "zhao@example.org")
    placed = ("--department", "软件所/编译组", "--department", "自动化所")
    for arguments in (
        ("organization", "update", "--name", "计算技术研究所", "--edition", "education"),
        ("organization", "licences", "put", "PO-7", "--count", "3", "--start", MONDAY, "--end", "2026-01-01 00:00"),
        ("organization", "visibility", "set", "--sees", "own-department-and-below", "--card", "title"),
        ("departments", "add", "自动化所"),
        ("departments", "add", "软件所"),
        ("departments", "add", "编译组", "--under", "软件所"),
        ("members", "add", "zhao", *zhao, *placed, "--advanced"),
        ("members", "licence", "take", "zhao"),
        ("members", "licence", "give", "zhao"),
        ("members", "update", "zhao", "--title", "研究员"),
        ("members", "enable", "zhao"),
        ("members", "disable", "zhao"),
        ("departments", "rename", "软件所/编译组", "编译器组"),
        ("departments", "move", "软件所/编译器组", "--under", "自动化所"),
        ("departments", "merge", "自动化所/编译器组", "--into", "自动化所", "--yes"),
        ("departments", "delete", "软件所", "--yes"),
        ("members", "delete", "zhao", "--yes"),
    ):
        said = admin.yunhui(*arguments)
        assert said.code == 0, said.err


def empower(stack: Stack) -> None:
    """Roles are made, given and taken, and the organization is handed over in the end."""
    admin = stack.login("admin")
    for account_id in ("wu", "lin"):
        assert admin.yunhui("members", "add", account_id, "--name", "吴敏").code == 0
    with grpc.insecure_channel(stack.run["directory"]) as channel:
        roles, organization = RoleServiceStub(channel), OrganizationServiceStub(channel)
        root, heir = signed(stack.login("booker", "root")), signed(stack.login("booker", "lin"))
        wanted = role_pb.CreateRoleRequest(display_name="人事", permissions=["members.view"])
        role = roles.CreateRole(wanted, metadata=root).role
        changed = role_pb.UpdateRoleRequest(role_id=role.role_id, version=1, permissions=["members.edit"])
        roles.UpdateRole(changed, metadata=root)
        roles.GiveRole(role_pb.GiveRoleRequest(account_id="wu", role_id=role.role_id), metadata=root)
        roles.TakeRole(role_pb.TakeRoleRequest(account_id="wu", role_id=role.role_id), metadata=root)
        roles.DeleteRole(role_pb.DeleteRoleRequest(role_id=role.role_id, version=2), metadata=root)
        wanted_heir = organization_pb.BeginTransferRequest(account_id="lin")
        first = organization.BeginTransfer(wanted_heir, metadata=root).transfer.transfer_id
        organization.CancelTransfer(organization_pb.CancelTransferRequest(transfer_id=first), metadata=root)
        second = organization.BeginTransfer(wanted_heir, metadata=root).transfer.transfer_id
        organization.AcceptTransfer(organization_pb.AcceptTransferRequest(transfer_id=second), metadata=heir)


def signed(person: Person) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {person.token}"),)


@contextmanager
def gone() -> Iterator[str]:
    """The address of a subscriber that says at every call that it is there no more."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(410)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def reserve(person: Person, start: str, people: int = 12) -> str:
    return str(person.reserve(start, people=people).answer["reservation"]["reservationId"])


def suspended_by(person: Person) -> str | None:
    """The id of the violation that closed booking."""
    standing = person.yunhui("quota").answer["standing"]
    return standing["violations"][0]["violationId"] if "suspension" in standing else None


def publish(admin: Person) -> None:
    done = [
        admin.yunhui("policy", "publish", str(RULES), "--note", "as delivered").code,
        admin.yunhui("policy", "rollback", "default@1", "--note", "and back").code,
    ]
    assert done == [0, 0]


def test_every_event_keeps_to_its_schema(recorded: list[Recorded], document: dict[str, Any]) -> None:
    """With nothing in it that the document does not name."""
    strict = closed(document)
    for event in recorded:
        message = strict["components"]["messages"][event["subject"]]
        assert faults(strict, message["headers"], event["headers"]) == []
        assert faults(strict, message["payload"], event["data"]) == [], event["subject"]
        assert event["headers"]["ce-type"] == event["subject"]


@pytest.mark.parametrize("fault", [{"reservation": {"version": 1}}, {"actor": None}, {"reservatoin": {}}])
def test_what_is_wrong_is_found(document: dict[str, Any], fault: dict[str, Any]) -> None:
    """A number where proto3 JSON writes text, a null, a name that nobody declared."""
    strict = closed(document)
    payload = strict["components"]["messages"]["yunhui.booking.reservation.confirmed"]["payload"]
    assert faults(strict, payload, fault)


def faults(document: dict[str, Any], schema: dict[str, Any], instance: Any) -> list[str]:
    whole = {"allOf": [schema], "components": document["components"]}  # references begin at the root
    validator = Draft7Validator(whole, format_checker=times())
    return [error.message for error in validator.iter_errors(instance)]


def times() -> FormatChecker:
    checker = FormatChecker(formats=())
    checker.checks("date-time", raises=ValueError)(lambda text: datetime.fromisoformat(text).tzinfo is not None)
    return checker


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The same, with every object complete: subscribers must take new fields, these tests must not."""
    strict = copy.deepcopy(document)
    for schema in strict["components"]["schemas"].values():
        if schema["type"] == "object":
            schema["additionalProperties"] = False
    return strict


def test_the_events_of_an_entity_are_counted_without_a_gap(recorded: list[Recorded]) -> None:
    """As docs/events.md promises: from 1, in order, each id once."""
    entities: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in recorded:
        headers = event["headers"]
        entities[headers["ce-source"], headers["ce-subject"]].append(int(headers["ce-sequence"]))
    broken = {entity: numbers for entity, numbers in entities.items() if numbers != [*range(1, len(numbers) + 1)]}
    assert not broken
    ids = [event["headers"]["ce-id"] for event in recorded]
    assert len(set(ids)) == len(ids)


def test_the_examples_are_of_the_same_form(recorded: list[Recorded], document: dict[str, Any]) -> None:
    """The fields of the recorded example are those that events have today."""
    first: dict[str, Recorded] = {}
    for event in recorded:
        if event["data"].get("actor") != PROGRAM.account_id:  # what it did by itself at the start says less
            first.setdefault(event["subject"], event)
    examples = {
        subject: {"headers": named(first[subject]["headers"], document), "payload": first[subject]["data"]}
        for subject in document["channels"]
    }
    if os.environ.get("GOLDEN") == "write":
        text = json.dumps(examples, ensure_ascii=False, indent=1)
        asyncapi.EXAMPLES.write_text(text + "\n", encoding="utf-8")
    kept = asyncapi.read_examples()
    for subject, example in examples.items():
        assert form(kept[subject]) == form(example), subject


def named(headers: dict[str, str], document: dict[str, Any]) -> dict[str, str]:
    """Without those of the transport, which come and go."""
    return {name: headers[name] for name in document["components"]["schemas"]["Headers"]["properties"]}


def form(part: Any) -> Any:
    """Names and kinds of values, without the values; of a list, its first."""
    if isinstance(part, dict):
        return {name: form(value) for name, value in part.items()}
    return [form(value) for value in part[:1]] if isinstance(part, list) else type(part).__name__
