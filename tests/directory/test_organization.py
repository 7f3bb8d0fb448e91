"""The organization: what may be said of it, its versions, its events and what the audit log is told."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from google.rpc import error_details_pb2
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.directory import organization
from services.directory.changes import Changes
from services.platform.clock import from_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.directory.conftest import ADMIN, ManualClock

ZHANG = pb.Contact(
    display_name="张伟", email="zhang@example.org", phone="+8613800138000", topics=[pb.NOTICE_TOPIC_LICENCES]
)

UNSAID = pb.Organization(version=1, joining=pb.Joining(mode=pb.JOINING_MODE_OFF))


async def update(changes: Changes, version: int = 1, **given: Any) -> pb.Organization:
    return await organization.update(changes, api.UpdateOrganizationRequest(version=version, **given), ADMIN)


async def stored(changes: Changes, table: sa.Table) -> list[dict[str, Any]]:
    return await changes.database.read(
        lambda connection: [dict(row._mapping) for row in connection.execute(sa.select(table))]
    )


def subject_of(error: errors.RpcError) -> str:
    """The field that it is about, or else the reason."""
    first: Any = error.details[0]
    return str(first.field_violations[0].field if isinstance(first, error_details_pb2.BadRequest) else first.reason)


async def test_before_anybody_says_anything_it_has_no_name(changes: Changes) -> None:
    assert await organization.get(changes.database) == UNSAID


async def test_what_is_given_changes_and_the_rest_stays(changes: Changes, clock: ManualClock) -> None:
    await update(changes, display_name=" 计算所 ", provider_name="Tencent Cloud", provider_organization_id="14156")
    clock.time += 1
    changed = await update(
        changes, 2, edition=pb.EDITION_EDUCATION, contacts=api.Contacts(contacts=[ZHANG]), provider_organization_id=""
    )
    assert changed == await organization.get(changes.database)
    assert (changed.display_name, changed.provider_name, changed.provider_organization_id) == (
        *("计算所", "Tencent Cloud"),
        "",
    )
    assert (changed.edition, list(changed.contacts)) == (pb.EDITION_EDUCATION, [ZHANG])
    assert (changed.version, from_timestamp(changed.update_time)) == (3, clock.time)


async def test_events_are_numbered_from_one(changes: Changes) -> None:
    """Though the organization is there, as version 1, before anything happens to it."""
    await update(changes, display_name="A")
    await update(changes, 2, display_name="B")
    events = await stored(changes, outbox.TABLE)
    assert [(each["subject"], each["entity_id"], each["entity_seq"]) for each in events] == [
        ("yunhui.directory.organization.updated", "organization", number) for number in (1, 2)
    ]
    told = json.loads(events[-1]["payload"])
    assert (told["organization"]["displayName"], told["actor"]) == ("B", "admin")


async def test_a_version_that_was_overtaken_changes_nothing(changes: Changes) -> None:
    after = await update(changes, display_name="A")
    for version in (1, 3):
        with pytest.raises(errors.RpcError) as caught:
            await update(changes, version, display_name="B")
        assert subject_of(caught.value) == "STALE_VERSION"
    assert await organization.get(changes.database) == after
    assert len(await stored(changes, outbox.TABLE)) == 1


async def test_a_request_that_changes_nothing_new_is_answered_without_a_trace(changes: Changes) -> None:
    """Also one that is repeated with the version that it was first made with."""
    people = api.Contacts(contacts=[ZHANG])
    after = await update(changes, 1, display_name="A", edition=pb.EDITION_ENTERPRISE, contacts=people)
    assert await update(changes, 1, display_name="A", contacts=people) == after
    assert await update(changes, 2, edition=pb.EDITION_ENTERPRISE) == after
    assert len(await stored(changes, outbox.TABLE)) == 1
    assert len(await stored(changes, audit.TABLE)) == 1


async def test_the_audit_log_learns_what_changed_and_nobodys_name(changes: Changes) -> None:
    await update(
        changes,
        display_name="秘密",
        provider_organization_id="14156",
        edition=pb.EDITION_FREE,
        contacts=api.Contacts(contacts=[ZHANG]),
    )
    [entry] = await stored(changes, audit.TABLE)
    assert (entry["actor"], entry["target_kind"], entry["target_id"]) == ("admin", "organization", "organization")
    assert json.loads(entry["detail"]) == {
        "changed": ["contacts", "display_name", "edition", "provider_organization_id"],
        "contacts": [0, 1],
        "edition": ["", "FREE"],
        "provider_organization_id": ["", "14156"],
    }


def contacts(**changed: Any) -> dict[str, Any]:
    contact = pb.Contact()
    contact.CopyFrom(ZHANG)
    for name, value in changed.items():
        contact.ClearField(name)  # type: ignore[arg-type] # a field by its name
        contact.MergeFrom(pb.Contact(**{name: value}))
    return {"contacts": api.Contacts(contacts=[ZHANG, contact])}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"version": 0, "display_name": "A"}, "version"),
    ({"version": -1, "display_name": "A"}, "version"),
    ({}, "display_name"),
    ({"display_name": " "}, "display_name"),
    ({"display_name": "x" * 101}, "display_name"),
    ({"display_name": "a\nb"}, "display_name"),
    ({"display_name": "a\u202eb"}, "display_name"),
    ({"display_name": "a\u2066b"}, "display_name"),
    ({"provider_organization_id": "x" * 65}, "provider_organization_id"),
    ({"provider_name": "x" * 101}, "provider_name"),
    ({"edition": pb.EDITION_UNSPECIFIED}, "edition"),
    ({"edition": 99}, "edition"),
    ({"contacts": api.Contacts(contacts=[ZHANG] * 21)}, "contacts.contacts"),
    (contacts(display_name=""), "contacts.contacts[1].display_name"),
    (contacts(email=""), "contacts.contacts[1].email"),
    (contacts(email="zhang"), "contacts.contacts[1].email"),
    (contacts(email="a@b.cn, c@d.cn"), "contacts.contacts[1].email"),
    (contacts(phone="13800138000"), "contacts.contacts[1].phone"),
    (contacts(phone="+86138\u0660\u0660138000"), "contacts.contacts[1].phone"),
    (contacts(topics=[]), "contacts.contacts[1].topics"),
    (contacts(topics=[0]), "contacts.contacts[1].topics"),
    (contacts(topics=[99]), "contacts.contacts[1].topics"),
    (contacts(topics=[1, 1]), "contacts.contacts[1].topics"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
async def test_bad_input_names_its_field(changes: Changes, given: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.RpcError) as caught:
        await update(changes, **given)
    assert (caught.value.code.name, subject_of(caught.value)) == ("INVALID_ARGUMENT", field)
    assert await organization.get(changes.database) == UNSAID


async def test_names_are_kept_in_one_form(changes: Changes) -> None:
    """As one character, however the accent was typed."""
    assert (await update(changes, display_name="Cafe\u0301")).display_name == "Caf\u00e9"
