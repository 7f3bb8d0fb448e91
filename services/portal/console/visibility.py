"""What members see of each other: the settings, rules for departments, and departments that are hidden."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, services_of, text_of
from services.portal.console import departments
from services.portal.console.addresses import VISIBILITY, of_visibility
from services.portal.console.forms import (
    GENERAL,
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    number_of,
    typed,
    version_of,
    was_searched,
)
from services.portal.rendering import reader_of, render
from services.portal.texts import CARD_FIELDS, SIGHTS

VIEW, EDIT = "organization.view", "organization.edit"
FIELDS = {"sight": "sight", "chosen": "chosen", "DEPARTMENT_NOT_FOUND": GENERAL}
DONE = {
    "saved": message("Saved. It holds from now on."),
    "hidden": message("The department is hidden, with all below it."),
    "shown": message("The department is shown again."),
    "ruled": message("The rule holds from now on."),
    "removed": message("The rule was removed."),
}


async def get(request: Request) -> pb.Visibility:
    """Raises grpc.aio.AioRpcError."""
    answer = await ask(request, services_of(request).organization.GetVisibility, api.GetVisibilityRequest())
    return answer.visibility


async def show(request: Request) -> Response:
    return await _page(request, await get(request))


async def _page(request: Request, settings: pb.Visibility, refusal: FormRefusal | None = None) -> Response:
    form = ConsoleForm(version=settings.version, refusal=refusal)
    return render(
        request,
        "console/visibility.html",
        form.status,
        settings=settings,
        form=form,
        fields=CARD_FIELDS,
        sights={each: words for each, words in SIGHTS.items() if each != pb.SIGHT_CHOSEN_DEPARTMENTS},
        all_sights=SIGHTS,
        may=may(request, EDIT),
        sees_members=may(request, "members.view"),
        to=of_visibility,
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


async def save(request: Request) -> Response:
    given = await request.form()
    question = api.UpdateVisibilityRequest(
        version=version_of(given),
        address_book_shown=bool(text_of(given, "address_book_shown")),
        departments_shown=bool(text_of(given, "departments_shown")),
        fields=api.CardFields(fields=[each for each in pb.CardField.values()[1:] if f"field-{each}" in given]),
        sight=pb.Sight.ValueType(number_of(given, "sight")),
    )
    return await _change(request, question, "saved")


async def _change(request: Request, question: api.UpdateVisibilityRequest, done: str) -> Response:
    answer = await attempt(request, services_of(request).organization.UpdateVisibility, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return await _page(request, await get(request), answer)
    return RedirectResponse(f"{VISIBILITY}?done={done}", 303)


async def ask_department(request: Request) -> Response:
    """First which one; what is to hold for it is asked then."""
    act = "rule" if request.url.path.endswith("rule") else "hide"
    query = request.query_params.get("find", "").strip()
    choice = await departments.choose(request, (), query)
    title = _title(request, message("Add a rule") if act == "rule" else message("Hide a department"))
    values = {"choice": choice, "act": act, "title": title, "trail": [(title, "")], "to": of_visibility}
    return render(request, "console/visibility_department.html", **values)


async def ask_rule(request: Request) -> Response:
    """Of the department that the address names."""
    department_id = request.query_params.get("department", "")
    if not department_id or was_searched(request.query_params):
        return await ask_department(request)
    settings = await get(request)
    rule = next((each for each in settings.rules if each.department.department_id == department_id), None)
    form = ConsoleForm({"sight": str(rule.sight if rule else pb.SIGHT_OWN_DEPARTMENT)}, settings.version)
    return await _rule_page(request, department_id, form, [each.department_id for each in rule.chosen] if rule else [])


async def _rule_page(
    request: Request, department_id: str, form: ConsoleForm, chosen: Sequence[str], query: str = ""
) -> Response:
    title = _title(request, message("A rule for a department"))
    return render(
        request,
        "console/visibility_rule.html",
        form.status,
        department=await departments.get(request, department_id),
        form=form,
        sights=SIGHTS,
        choice=await departments.choose(request, chosen, query),
        chosen=chosen,
        title=title,
        trail=[(title, "")],
        to=of_visibility,
    )


async def put_rule(request: Request) -> Response:
    given = await request.form()
    department_id = request.query_params.get("department", "")
    form = ConsoleForm(typed(given, "sight"), version_of(given))
    chosen = list(dict.fromkeys(each[:64] for each in given.getlist("chosen") if isinstance(each, str) and each))
    query = text_of(given, "find", departments.LONGEST_QUERY)
    if was_searched(given):
        return await _rule_page(request, department_id, form, chosen, query)
    sight = pb.Sight.ValueType(number_of(given, "sight"))
    places = _named(chosen) if sight == pb.SIGHT_CHOSEN_DEPARTMENTS else ()
    made = pb.VisibilityRule(department=pb.NamedDepartment(department_id=department_id), sight=sight, chosen=places)
    settings = await get(request)
    rules = [*(each for each in settings.rules if each.department.department_id != department_id), made]
    question = api.UpdateVisibilityRequest(version=form.version, rules=api.VisibilityRules(rules=rules))
    answer = await attempt(request, services_of(request).organization.UpdateVisibility, question, FIELDS)
    if isinstance(answer, FormRefusal):
        form = replace(form, refusal=answer, version=settings.version if answer.stale else form.version)
        return await _rule_page(request, department_id, form, chosen, query)
    return RedirectResponse(f"{VISIBILITY}?done=ruled", 303)


async def remove_rule(request: Request) -> Response:
    given = await request.form()
    gone = text_of(given, "department")
    rules = [each for each in (await get(request)).rules if each.department.department_id != gone]
    question = api.UpdateVisibilityRequest(version=version_of(given), rules=api.VisibilityRules(rules=rules))
    return await _change(request, question, "removed")


def _hiding(done: str, change: Callable[[list[str], str], list[str]]) -> Callable[[Request], Awaitable[Response]]:
    async def act(request: Request) -> Response:
        given = await request.form()
        department_id = text_of(given, "department")
        settings = await get(request)
        ids = change([each.department_id for each in settings.hidden_departments], department_id)
        hidden = api.NamedDepartments(departments=_named(ids))
        version = version_of(given) or settings.version
        question = api.UpdateVisibilityRequest(version=version, hidden_departments=hidden)
        return await _change(request, question, done)

    return act


hide = _hiding("hidden", lambda ids, one: list(dict.fromkeys([*ids, *filter(None, [one])])))
unhide = _hiding("shown", lambda ids, one: [each for each in ids if each != one])


def _named(ids: Sequence[str]) -> list[pb.NamedDepartment]:
    return [pb.NamedDepartment(department_id=each) for each in ids]


def _title(request: Request, words: Text) -> str:
    return words.to(reader_of(request).language)


PAGES = [
    (VISIBILITY, for_permitted(VIEW, show), "GET"),
    (VISIBILITY, for_permitted(EDIT, save), "POST"),
    (f"{VISIBILITY}/rule", for_permitted(EDIT, ask_rule), "GET"),
    (f"{VISIBILITY}/rule", for_permitted(EDIT, put_rule), "POST"),
    (f"{VISIBILITY}/remove-rule", for_permitted(EDIT, remove_rule), "POST"),
    (f"{VISIBILITY}/hide", for_permitted(EDIT, ask_department), "GET"),
    (f"{VISIBILITY}/hide", for_permitted(EDIT, hide), "POST"),
    (f"{VISIBILITY}/unhide", for_permitted(EDIT, unhide), "POST"),
]
