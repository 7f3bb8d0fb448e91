"""Every page of the portal, by its address."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import grpc
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.platform.text.messages import message
from services.portal import (
    availability,
    choosing,
    colleagues,
    deliveries,
    live,
    making,
    my_meetings,
    my_recordings,
    my_reservations,
    preferences,
    reserving,
    rules,
    search,
    sign_in,
    standing,
    support,
)
from services.portal.calls import read
from services.portal.console import pages as console
from services.portal.navigation import Area, Tab
from services.portal.rendering import render
from services.portal.tables import Table

Endpoint = Callable[[Request], Awaitable[Response]]

RETRY_SECONDS = 3
_KNOWN = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
}


def answered(endpoint: Endpoint) -> Endpoint:
    """An error of a service becomes a page that says so; what was typed is kept, and sent again by itself."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except grpc.aio.AioRpcError as error:
            return await trouble(request, error)

    return answer


async def trouble(request: Request, error: grpc.aio.AioRpcError) -> Response:
    problem = read(error)
    if problem.code == grpc.StatusCode.UNAUTHENTICATED:
        return await sign_in.again(request)
    if problem.away:
        return await away(request)
    status = _KNOWN.get(problem.code, 500)
    return render(request, "trouble.html", status, problem=problem, status=status)


async def away(request: Request) -> Response:
    """503 with Retry-After; a page that was asked for asks again by itself, a form is sent again."""
    form = await request.form() if request.method == "POST" else FormData()
    kept = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != "csrf_token"]
    answer = render(
        request,
        "away.html",
        503,
        kept=kept,
        seconds=RETRY_SECONDS,
        posted=request.method == "POST",
        address=sign_in.here(request),
    )
    answer.headers["retry-after"] = str(RETRY_SECONDS)
    return answer


def page(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
    return Route(path, sign_in.required(answered(endpoint)), methods=[method])


TABLES: list[Table[Any]] = [deliveries.TABLE]
"""Each is a page and a file."""
TABS = (
    Tab("/", "plus", message("Book"), also=["/book"]),
    Tab("/rooms", "grid", message("Free rooms")),
    Tab("/reservations", "list", message("My reservations")),
    Tab(my_meetings.PATH, "video", my_meetings.LABEL, my_meetings.PERMISSION),
    Tab("/standing", "gauge", message("My standing")),
    Tab(colleagues.PATH, "people", colleagues.LABEL, colleagues.PERMISSION),
    Tab("/support", "help", message("Support"), "reservations.manage"),
    *(Tab(table.path, table.icon, table.title, table.permission) for table in TABLES if table.icon),
    Tab("/rules", "book", message("Rules")),
    Tab("/settings", "gear", message("Settings")),
)
AREAS = (Area("/", message("My meetings"), TABS), console.AREA)
routes: list[Route] = [
    *(page(table.path, table.show) for table in (*TABLES, *console.TABLES)),
    *(page(f"{table.path}.csv", table.export) for table in (*TABLES, *console.TABLES)),
    *(page(f"{table.path}.xlsx", table.export_sheet) for table in (*TABLES, *console.TABLES)),
    page("/", reserving.ask_number),
    page("/book/find", reserving.find, "POST"),
    page("/book", reserving.show_meeting),
    page("/book", reserving.reserve, "POST"),
    page("/book/check", reserving.check, "POST"),
    page(making.PATH, making.show),
    page(making.PATH, making.make, "POST"),
    page(making.CHECK, making.check, "POST"),
    page(making.FOUND, choosing.show_found),
    page("/rooms", availability.show),
    page(my_meetings.PATH, my_meetings.show),
    page(my_meetings.ONE, my_meetings.show_one),
    page(my_recordings.PATH, my_recordings.show),
    *(page(*each) for each in my_recordings.PAGES),
    page("/reservations", my_reservations.show_all),
    page("/reservations/{reservation_id}", my_reservations.show_one),
    page("/reservations/{reservation_id}/calendar.ics", my_reservations.calendar),
    page("/reservations/{reservation_id}/cancel", my_reservations.ask_cancel),
    page("/reservations/{reservation_id}/cancel", my_reservations.cancel, "POST"),
    page("/reservations/{reservation_id}/change", my_reservations.ask_change),
    page("/reservations/{reservation_id}/change", my_reservations.change, "POST"),
    page("/reservations/{reservation_id}/change/check", my_reservations.check_change, "POST"),
    page("/reservations/{reservation_id}/end", my_reservations.end, "POST"),
    page(colleagues.PATH, colleagues.show),
    page(colleagues.CARD, colleagues.show_card),
    page(colleagues.BELOW, colleagues.show_below),
    page("/standing", standing.show),
    page("/standing/violations/{violation_id}", standing.object_to, "POST"),
    page("/rules", rules.show),
    page("/support", support.show),
    page("/support/accounts", support.show_account),
    page("/support/escalations", support.show),
    page("/support/escalations/{reservation_id}", support.show),
    page("/support/escalations/{reservation_id}", support.resolve, "POST"),
    page("/support/violations/{violation_id}", support.waive, "POST"),
    page("/support/objections/{violation_id}", support.answer_objection, "POST"),
    page("/support/deliveries/{delivery_id}", support.resend, "POST"),
    page(search.PATH, search.show),
    page("/settings", preferences.show),
    page("/settings", preferences.save, "POST"),
    page("/settings/calendar", preferences.make_feed, "POST"),
    page("/settings/calendar/remove", preferences.remove_feed, "POST"),
    *(page(*each) for each in console.PAGES),
    page("/live", live.reservations),
    page("/live/rooms", live.rooms),
    page("/live/meetings", live.meetings),
    page("/live/meeting", live.meeting),
]
