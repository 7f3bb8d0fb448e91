"""Settings of what members see of each other: what may be said, versions, the event, the audit log, and departments."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import department_changes, visibility
from services.directory.changes import Changes
from services.platform.clock import from_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from tests.directory.conftest import ADMIN, ManualClock
from tests.directory.people import department
from tests.directory.sights import BELOW, CHOSEN, EVERYBODY, OWN, named, put, rules_of
from tests.directory.test_organization import stored
from tests.directory.tree import refused

STALE = "FAILED_PRECONDITION STALE_VERSION"
NAMED = "FAILED_PRECONDITION DEPARTMENT_NAMED"


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        for department_id, parent in (("a", ""), ("ab", "a"), ("x", "")):
            department(connection, department_id, department_id.upper(), parent)

    await changes.database.write(work)


async def test_what_is_given_changes_and_the_rest_stays(changes: Changes, clock: ManualClock) -> None:
    assert await visibility.get(changes.database) == visibility.AT_FIRST
    clock.time += 1
    changed = await put(changes, sight=OWN, rules={"x": (CHOSEN, ["ab", "a"]), "a": (BELOW, [])})
    assert changed == await visibility.get(changes.database)
    assert (changed.version, from_timestamp(changed.update_time), changed.sight) == (2, clock.time, OWN)
    assert [(rule.department.path, [each.path for each in rule.chosen]) for rule in changed.rules] == [
        ("A", []),
        ("X", ["A", "A/AB"]),
    ]
    changed = await put(changes, hidden=["ab"], fields=[], departments_shown=False)
    assert ([*changed.fields], changed.address_book_shown, changed.departments_shown) == ([], True, False)
    assert [each.path for each in changed.hidden_departments] == ["A/AB"]
    assert (len(changed.rules), changed.version) == (2, 3)


async def test_a_version_that_was_overtaken_changes_nothing(changes: Changes) -> None:
    after = await put(changes, sight=OWN)
    for version in (1, 3):
        request = api.UpdateVisibilityRequest(version=version, sight=BELOW)
        assert await refused(visibility.update(changes, request, ADMIN)) == STALE
    same = api.UpdateVisibilityRequest(version=1, sight=OWN)
    assert await visibility.update(changes, same, ADMIN) == after
    assert len(await stored(changes, outbox.TABLE)) == len(await stored(changes, audit.TABLE)) == 1


async def test_the_event_and_the_audit_log_tell_of_it(changes: Changes) -> None:
    await put(changes, rules={"a": (OWN, []), "x": (BELOW, [])}, hidden=["ab"])
    await put(changes, rules={"a": (OWN, []), "x": (CHOSEN, ["a"])}, hidden=["ab"], address_book_shown=False)
    events = await stored(changes, outbox.TABLE)
    assert [(each["subject"], each["entity_id"], each["entity_seq"]) for each in events] == [
        ("yunhui.directory.organization.visibility_changed", "visibility", number) for number in (1, 2)
    ]
    told = json.loads(events[-1]["payload"])
    assert (told["actor"], told["visibility"]["hiddenDepartments"]) == ("admin", [{"departmentId": "ab"}])
    entries = await stored(changes, audit.TABLE)
    assert (entries[1]["target_kind"], entries[1]["target_id"]) == ("organization", "visibility")
    rule = {"department": {"department_id": "x"}, "sight": "SIGHT_OWN_DEPARTMENT_AND_BELOW"}
    now = rule | {"sight": "SIGHT_CHOSEN_DEPARTMENTS", "chosen": [{"department_id": "a"}]}
    assert json.loads(entries[1]["detail"]) == {
        "before": {"address_book_shown": True, "rules": [rule]},
        "after": {"address_book_shown": False, "rules": [now]},
    }


def card_fields(*numbers: int) -> list[pb.CardField.ValueType]:
    return [pb.CardField.ValueType(each) for each in numbers]


MANY = [f"d{number}" for number in range(101)]
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "address_book_shown"),
    ({"version": 0, "sight": OWN}, "version"),
    ({"sight": 0}, "sight"),
    ({"sight": 99}, "sight"),
    ({"sight": CHOSEN}, "sight"),
    ({"fields": api.CardFields(fields=card_fields(0))}, "fields.fields"),
    ({"fields": api.CardFields(fields=card_fields(99))}, "fields.fields"),
    ({"fields": api.CardFields(fields=card_fields(1, 1))}, "fields.fields"),
    ({"rules": rules_of({"": (OWN, [])})}, "rules.rules[0].department.department_id"),
    ({"rules": rules_of({"a": (0, [])})}, "rules.rules[0].sight"),  # type: ignore[dict-item] # a number that is none
    ({"rules": rules_of({"a": (CHOSEN, [])})}, "rules.rules[0].chosen"),
    ({"rules": rules_of({"a": (OWN, ["x"])})}, "rules.rules[0].chosen"),
    ({"rules": rules_of({"a": (CHOSEN, ["x", "x"])})}, "rules.rules[0].chosen"),
    ({"rules": rules_of({"a": (CHOSEN, MANY[:21])})}, "rules.rules[0].chosen"),
    ({"rules": api.VisibilityRules(rules=[*rules_of({"a": (OWN, [])}).rules] * 2)}, "rules.rules"),
    ({"rules": rules_of(dict.fromkeys(MANY, (OWN, [])))}, "rules.rules"),
    ({"hidden_departments": api.NamedDepartments(departments=named(["a", "a"]))}, "hidden_departments.departments"),
    ({"hidden_departments": api.NamedDepartments(departments=named(MANY))}, "hidden_departments.departments"),
    (
        {"hidden_departments": api.NamedDepartments(departments=named(["a b"]))},
        "hidden_departments.departments[0].department_id",
    ),
]


@pytest.mark.parametrize(("given", "fault"), BAD)
async def test_bad_input_names_its_field(changes: Changes, given: dict[str, Any], fault: str) -> None:
    request = api.UpdateVisibilityRequest(**({"version": 1} | given))
    assert await refused(visibility.update(changes, request, ADMIN)) == f"INVALID_ARGUMENT {fault}".split(" ")[1]
    assert await visibility.get(changes.database) == visibility.AT_FIRST


@pytest.mark.parametrize(
    "named_", [{"hidden": ["gone"]}, {"rules": {"gone": (OWN, [])}}, {"rules": {"a": (CHOSEN, ["gone"])}}]
)
async def test_departments_that_are_named_exist(changes: Changes, named_: dict[str, Any]) -> None:
    assert await refused(put(changes, **named_)) == "NOT_FOUND DEPARTMENT_NOT_FOUND"


@pytest.mark.parametrize("named_", [{"hidden": ["x"]}, {"rules": {"x": (OWN, [])}}, {"rules": {"a": (CHOSEN, ["x"])}}])
async def test_a_department_that_is_named_stays(changes: Changes, named_: dict[str, Any]) -> None:
    """Its members would be seen by others, or by nobody, without a word."""
    await put(changes, **named_)
    delete = department_api.DeleteDepartmentRequest(department_id="x", version=1)
    merge = department_api.MergeDepartmentRequest(department_id="x", into_department_id="a", version=1)
    assert await refused(department_changes.delete(changes, delete, ADMIN)) == NAMED
    assert await refused(department_changes.merge(changes, merge, ADMIN)) == NAMED
    await put(changes, rules={}, hidden=[])
    await department_changes.delete(changes, delete, ADMIN)


async def test_it_moves_along_with_the_tree(changes: Changes) -> None:
    await put(changes, hidden=["ab"], rules={"ab": (EVERYBODY, [])})
    move = department_api.MoveDepartmentRequest(department_id="ab", parent_id="x", version=1)
    await department_changes.move(changes, move, ADMIN)
    moved = await visibility.get(changes.database)
    assert (moved.hidden_departments[0].path, moved.rules[0].department.path) == ("X/AB", "X/AB")
