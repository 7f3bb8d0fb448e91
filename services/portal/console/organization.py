"""The organization: who it is, who is told of what, and the licences that it has bought."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import ask, may, may_everywhere, services_of, text_of
from services.portal.console import provisioning, roles, transfer
from services.portal.console.addresses import ORGANIZATION, of_member
from services.portal.console.forms import ConsoleForm, FormRefusal, attempt, for_permitted, typed, version_of
from services.portal.console.licences import TABLE
from services.portal.rendering import reader_of, render
from services.portal.texts import EDITIONS, TOPICS

DONE = {
    "saved": message("Saved."),
    "entered": message("The purchase was entered."),
    "removed": message("The purchase was removed."),
}
TEXTS = ("display_name", "provider_organization_id", "provider_name")
"""Fields of the organization that are text, as the service names them."""
FIELDS = {name: name for name in (*TEXTS, "edition")}
MOST_CONTACTS = 20
CONTACT = ("display_name", "email", "phone")
_AT = re.compile(r"contacts\[(\d+)\](?:\.(\w+))?")
"""What the service has against one of the contacts."""


async def get(request: Request) -> pb.Organization:
    """Raises grpc.aio.AioRpcError."""
    answer = await ask(request, services_of(request).organization.GetOrganization, api.GetOrganizationRequest())
    return answer.organization


async def show(request: Request) -> Response:
    question = api.GetLicencesRequest()
    organization, licences, over = await asyncio.gather(
        get(request), ask(request, services_of(request).organization.GetLicences, question), transfer.find(request)
    )
    sees = may(request, roles.VIEW)
    return render(
        request,
        "console/organization.html",
        organization=organization,
        figures=licences.figures,
        purchases=list(reversed(licences.purchases)),
        table=TABLE,
        supers=await roles.holders(request, roles.SUPER_ADMINISTRATOR) if sees else None,
        over=over,
        hands_over=may(request, transfer.HANDS_OVER),
        to_member=of_member,
        provisions=may_everywhere(request, provisioning.PERMISSION),
        may=may(request, "organization.edit"),
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


def values_of(organization: pb.Organization) -> dict[str, str]:
    return {name: getattr(organization, name) for name in TEXTS} | {"edition": str(organization.edition)}


async def ask_edit(request: Request) -> Response:
    organization = await get(request)
    return _edit_page(request, ConsoleForm(values_of(organization), organization.version))


def _edit_page(request: Request, form: ConsoleForm) -> Response:
    trail = [(message("Edit").to(reader_of(request).language), "")]
    return render(request, "console/organization_edit.html", form.status, form=form, editions=EDITIONS, trail=trail)


async def edit(request: Request) -> Response:
    given = await request.form()
    form = ConsoleForm(typed(given, *TEXTS, "edition"), version_of(given))
    texts: dict[str, Any] = {name: form.value(name) for name in TEXTS}
    edition: Any = next((each for each in EDITIONS if str(each) == form.value("edition")), None)
    question = api.UpdateOrganizationRequest(version=form.version, **texts, edition=edition)
    answer = await attempt(request, services_of(request).organization.UpdateOrganization, question, FIELDS)
    if isinstance(answer, FormRefusal):
        form = replace(form, refusal=answer)
        if answer.stale:
            current = await get(request)
            now = {name: value for name, value in values_of(current).items() if value != form.value(name)}
            form = replace(form, now=now, version=current.version)
        return _edit_page(request, form)
    return RedirectResponse(f"{ORGANIZATION}?done=saved", 303)


@dataclass(frozen=True, slots=True)
class ContactRow:
    """The fields of one contact; those of an empty row are of nobody."""

    values: Mapping[str, str] = field(default_factory=dict)
    topics: frozenset[pb.NoticeTopic.ValueType] = frozenset()
    removed: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not any(self.values.values()) and not self.topics

    def contact(self) -> pb.Contact:
        return pb.Contact(**self.values, topics=sorted(self.topics))


def rows_of(organization: pb.Organization) -> list[ContactRow]:
    return [
        ContactRow({name: getattr(each, name) for name in CONTACT}, frozenset(each.topics))
        for each in organization.contacts
    ]


def rows_in(given: Any) -> list[ContactRow]:
    """As they were typed."""
    rows = []
    for number in range(MOST_CONTACTS + 1):
        if f"{number}-display_name" not in given:
            break
        topics = frozenset(pb.NoticeTopic.ValueType(each) for each in TOPICS if f"{number}-topic-{each}" in given)
        values = {name: text_of(given, f"{number}-{name}", 300) for name in CONTACT}
        rows.append(ContactRow(values, topics, f"{number}-remove" in given))
    return rows


async def ask_contacts(request: Request) -> Response:
    organization = await get(request)
    return _contacts_page(request, rows_of(organization), organization.version)


def _contacts_page(
    request: Request, rows: Sequence[ContactRow], version: int, refusal: FormRefusal | None = None
) -> Response:
    """With an empty row for one more."""
    shown = [each for each in rows if not each.removed]
    if len(shown) < MOST_CONTACTS and not (shown and shown[-1].empty):
        shown.append(ContactRow())
    trail = [(message("Contacts").to(reader_of(request).language), "")]
    status = refusal.status if refusal else 200
    values = {"rows": shown, "version": version, "refusal": refusal, "topics": TOPICS, "trail": trail}
    return render(request, "console/contacts.html", status, **values)


async def save_contacts(request: Request) -> Response:
    given = await request.form()
    rows = [each for each in rows_in(given) if not each.removed]
    version = version_of(given)
    if text_of(given, "more"):
        return _contacts_page(request, [*rows, ContactRow()], version)
    kept = [each for each in rows if not each.empty]
    question = api.UpdateOrganizationRequest(
        version=version, contacts=api.Contacts(contacts=[each.contact() for each in kept])
    )
    answer = await attempt(request, services_of(request).organization.UpdateOrganization, question, {})
    if not isinstance(answer, FormRefusal):
        return RedirectResponse(f"{ORGANIZATION}?done=saved", 303)
    if answer.stale:
        version = (await get(request)).version
    place = _AT.search(answer.place)
    if place and int(place[1]) < len(kept):
        at = int(place[1])
        kept[at] = replace(kept[at], faults={place[2] or "display_name": answer.said})
        answer = replace(answer, faults={})
    return _contacts_page(request, kept, version, answer)


PAGES = [
    (ORGANIZATION, for_permitted("organization.view", show), "GET"),
    (f"{ORGANIZATION}/edit", for_permitted("organization.edit", ask_edit), "GET"),
    (f"{ORGANIZATION}/edit", for_permitted("organization.edit", edit), "POST"),
    (f"{ORGANIZATION}/contacts", for_permitted("organization.edit", ask_contacts), "GET"),
    (f"{ORGANIZATION}/contacts", for_permitted("organization.edit", save_contacts), "POST"),
]
