"""The licences that the organization has bought: entered, changed, and taken away again, purchase by purchase."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import ask, services_of
from services.portal.console.addresses import ORGANIZATION, PURCHASE, PURCHASES, of_purchase
from services.portal.console.forms import ConsoleForm, FormRefusal, attempt, for_permitted, typed
from services.portal.rendering import reader_of, render
from services.portal.tables import Asked, Column, Listing, Table
from services.portal.times import Reader, stamp_of

TEXTS = ("purchase_id", "count", "first_day", "last_day", "note")
FIELDS = {
    "purchase_id": "purchase_id",
    "count": "count",
    "start_time": "first_day",
    "end_time": "last_day",
    "note": "note",
}
NOT_A_DAY = message("Enter a day.")
NOT_A_NUMBER = message("Enter how many licences were bought: a number from 1 on.")


async def _purchases(request: Request, _: Asked) -> Listing[pb.LicencePurchase]:
    answer = await ask(request, services_of(request).organization.GetLicences, api.GetLicencesRequest())
    return Listing(list(answer.purchases), "", len(answer.purchases))


TABLE: Table[pb.LicencePurchase] = Table(
    PURCHASES,
    message("Purchases of licences"),
    _purchases,
    permission="organization.view",
    columns=[
        Column(message("Purchase"), lambda each: each.purchase_id, link=of_purchase),
        Column(message("Licences bought"), lambda each: each.count, width="narrow"),
        Column(message("Holds from"), lambda each: each.start_time, minor=True),
        Column(message("Holds until"), lambda each: each.end_time),
        Column(message("Remark"), lambda each: each.note, width="wide", minor=True),
    ],
)


async def find(request: Request) -> pb.LicencePurchase:
    """The one of the address. Raises grpc.aio.AioRpcError, HTTPException."""
    listing = await _purchases(request, Asked({}, "", 0))
    wanted = request.query_params.get("id", "")
    found = next((each for each in listing.rows if each.purchase_id == wanted), None)
    if found is None:
        raise HTTPException(404)
    return found


def values_of(purchase: pb.LicencePurchase, reader: Reader) -> dict[str, str]:
    last = reader.local(purchase.end_time) - timedelta(seconds=1)
    return {
        "purchase_id": purchase.purchase_id,
        "count": str(purchase.count),
        "first_day": reader.local(purchase.start_time).date().isoformat(),
        "last_day": last.date().isoformat(),
        "note": purchase.note,
    }


def days(
    form: ConsoleForm, reader: Reader, before: pb.LicencePurchase | None
) -> tuple[Mapping[str, Timestamp], dict[str, Text]]:
    """From the first day's beginning to the last one's end; a day that stays as it was keeps its time of day."""
    known = values_of(before, reader) if before else {}
    times, faults = {}, {}
    for name, place, more in (("first_day", "start_time", 0), ("last_day", "end_time", 1)):
        try:
            day = date.fromisoformat(form.value(name)) + timedelta(days=more)
            times[place] = stamp_of(datetime.combine(day, datetime.min.time(), reader.zone))
        except (ValueError, OverflowError):
            faults[name] = NOT_A_DAY
            continue
        if before and form.value(name) == known[name]:
            times[place] = getattr(before, place)
    return times, faults


async def ask_new(request: Request) -> Response:
    reader = reader_of(request)
    year = reader.today.replace(day=1)
    values = {"first_day": reader.today.isoformat(), "last_day": f"{year.year}-12-31"}
    return _page(request, ConsoleForm(values))


def _page(request: Request, form: ConsoleForm, purchase: pb.LicencePurchase | None = None) -> Response:
    title = message("Change a purchase") if purchase else message("Enter a purchase")
    said = title.to(reader_of(request).language)
    values = {"form": form, "purchase": purchase, "title": said, "trail": [(said, "")], "to": of_purchase}
    return render(request, "console/purchase.html", form.status, **values)


async def ask_change(request: Request) -> Response:
    purchase = await find(request)
    return _page(request, ConsoleForm(values_of(purchase, reader_of(request))), purchase)


async def add(request: Request) -> Response:
    return await _put(request, None)


async def change(request: Request) -> Response:
    return await _put(request, await find(request))


async def _put(request: Request, before: pb.LicencePurchase | None) -> Response:
    form, reader = ConsoleForm(typed(await request.form(), *TEXTS)), reader_of(request)
    if before:
        form = replace(form, values={**form.values, "purchase_id": before.purchase_id})
    times, faults = days(form, reader, before)
    count = form.value("count")
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        faults["count"] = NOT_A_NUMBER
    if faults:
        said = {name: each.to(reader.language) for name, each in faults.items()}
        return _page(request, replace(form, refusal=FormRefusal(422, said)), before)
    purchase = pb.LicencePurchase(
        purchase_id=form.value("purchase_id"), count=int(count), note=form.value("note"), **times
    )
    question = api.PutLicencePurchaseRequest(purchase=purchase)
    answer = await attempt(request, services_of(request).organization.PutLicencePurchase, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return _page(request, replace(form, refusal=answer), before)
    return RedirectResponse(f"{ORGANIZATION}?done=entered", 303)


async def ask_remove(request: Request) -> Response:
    purchase = await find(request)
    title = message("Remove a purchase").to(reader_of(request).language)
    return render(request, "console/purchase_remove.html", purchase=purchase, trail=[(title, "")], to=of_purchase)


async def remove(request: Request) -> Response:
    question = api.DeleteLicencePurchaseRequest(purchase_id=request.query_params.get("id", ""))
    await ask(request, services_of(request).organization.DeleteLicencePurchase, question)
    return RedirectResponse(f"{ORGANIZATION}?done=removed", 303)


PAGES = [
    (f"{PURCHASES}/new", for_permitted("licences.edit", ask_new), "GET"),
    (f"{PURCHASES}/new", for_permitted("licences.edit", add), "POST"),
    (PURCHASE, for_permitted("licences.edit", ask_change), "GET"),
    (PURCHASE, for_permitted("licences.edit", change), "POST"),
    (f"{PURCHASE}/remove", for_permitted("licences.edit", ask_remove), "GET"),
    (f"{PURCHASE}/remove", for_permitted("licences.edit", remove), "POST"),
]
