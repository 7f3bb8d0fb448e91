"""What becomes of somebody unknown who signs in: shown, and chosen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import services_of, text_of
from services.portal.console import departments, organization
from services.portal.console.addresses import JOINING, ORGANIZATION
from services.portal.console.forms import (
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    refused,
    typed,
    version_of,
    was_searched,
)
from services.portal.rendering import reader_of, render
from services.portal.texts import JOINING_HINTS, JOINING_MODES

MOST = 100
FIELDS = {"mode": "mode", "domain": "domain", "department_id": "department_id", "DEPARTMENT_NOT_FOUND": "department_id"}
NO_DOMAIN = message("Name at least one domain.")


async def ask_joining(request: Request) -> Response:
    found = await organization.get(request)
    form = ConsoleForm({"mode": str(found.joining.mode)}, found.version)
    return await _page(request, form, found.joining.domains)


async def _page(
    request: Request, form: ConsoleForm, rows: Sequence[pb.JoiningDomain], query: str = "", removed: Sequence[str] = ()
) -> Response:
    return render(
        request,
        "console/joining.html",
        form.status,
        form=form,
        rows=rows,
        removed=removed,
        modes=JOINING_MODES,
        hints=JOINING_HINTS,
        choice=await departments.choose(request, [form.value("department_id")], query),
        trail=[(message("First sign-in").to(reader_of(request).language), "")],
    )


def rows_in(given: Any) -> list[pb.JoiningDomain]:
    """Those that stood on the page."""
    rows = []
    for number in range(MOST):
        domain, department_id, path = (text_of(given, f"{number}-{name}", 2000) for name in ("domain", "id", "path"))
        if not domain:
            break
        rows.append(pb.JoiningDomain(domain=domain, department_id=department_id, path=path))
    return rows


async def save(request: Request) -> Response:
    given = await request.form()
    form = ConsoleForm(typed(given, "mode", "domain", "department_id"), version_of(given))
    rows, query = rows_in(given), text_of(given, "find", departments.LONGEST_QUERY)
    removed = [each.domain for number, each in enumerate(rows) if f"{number}-remove" in given]
    if was_searched(given):
        return await _page(request, form, rows, query, removed)
    wanted = [each for each in rows if each.domain not in removed]
    if form.value("domain"):
        wanted.append(pb.JoiningDomain(domain=form.value("domain"), department_id=form.value("department_id")))
    answer = _refused(request, form, wanted) or await _update(request, form, wanted)
    if not isinstance(answer, FormRefusal):
        return RedirectResponse(f"{ORGANIZATION}?done=saved", 303)
    form = replace(form, refusal=answer)
    if answer.stale:
        current = await organization.get(request)
        now = str(current.joining.mode)
        form = replace(form, now={"mode": now} if now != form.value("mode") else {}, version=current.version)
        rows = list(current.joining.domains)
    return await _page(request, form, rows, query, removed)


def _refused(request: Request, form: ConsoleForm, wanted: Sequence[pb.JoiningDomain]) -> FormRefusal | None:
    """What the page itself sees."""
    language = reader_of(request).language
    if form.value("domain") and not form.value("department_id"):
        return refused(departments.CHOOSE.to(language), "department_id")
    if form.value("mode") == str(pb.JOINING_MODE_MAIL_DOMAIN) and not wanted:
        return refused(NO_DOMAIN.to(language), "domain")
    return None


async def _update(
    request: Request, form: ConsoleForm, wanted: Sequence[pb.JoiningDomain]
) -> api.UpdateOrganizationResponse | FormRefusal:
    mode = next((each for each in JOINING_MODES if str(each) == form.value("mode")), 0)
    setting = pb.Joining(mode=pb.JoiningMode.ValueType(mode), domains=wanted)
    question = api.UpdateOrganizationRequest(version=form.version, joining=setting)
    return await attempt(request, services_of(request).organization.UpdateOrganization, question, FIELDS)


PAGES = [
    (JOINING, for_permitted("organization.edit", ask_joining), "GET"),
    (JOINING, for_permitted("organization.edit", save), "POST"),
]
