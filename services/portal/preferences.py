"""Settings: language, zone and theme live in cookies of this browser, mail preferences with the notifier."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.platform.text.languages import LANGUAGES
from services.portal import calendars
from services.portal.calls import ask, services_of, text_of
from services.portal.rendering import THEMES, reader_of, render
from services.portal.times import ZONES

YEAR_SECONDS = 365 * 86400
CHOICES = {"language": LANGUAGES, "zone": ZONES, "theme": THEMES}


async def show(request: Request) -> Response:
    return await _page(request)


async def _page(request: Request, address: str = "") -> Response:
    """`address` is that of a feed that was made just now: it is shown this once."""
    services = services_of(request)
    answer = await ask(request, services.notifier.GetPreferences, api.GetPreferencesRequest())
    found = await ask(request, services.booking.GetCalendarFeed, booking.GetCalendarFeedRequest())
    return render(
        request,
        "settings.html",
        feed=found.feed if found.HasField("feed") else None,
        address=address,
        notices=answer.notices,
        zones=ZONES,
        zone=reader_of(request).zone.key,
        themes=THEMES,
        saved="saved" in request.query_params,
    )


async def make_feed(request: Request) -> Response:
    """Whoever loads the answer again makes another: the one that was shown is then replaced."""
    made = await ask(request, services_of(request).booking.CreateCalendarFeed, booking.CreateCalendarFeedRequest())
    return await _page(request, calendars.address(request.app.state.portal_url, made.secret))


async def remove_feed(request: Request) -> Response:
    await ask(request, services_of(request).booking.DeleteCalendarFeed, booking.DeleteCalendarFeedRequest())
    return RedirectResponse("/settings?saved=1", 303)


async def save(request: Request) -> Response:
    """Only what is named changes; the mail preferences when the form has them."""
    form = await request.form()
    if text_of(form, "mail"):
        await _save_notices(request, form)
    answer = RedirectResponse(_back(text_of(form, "back")), 303)
    for name, allowed in CHOICES.items():
        chosen = text_of(form, name)
        if chosen in allowed:
            secure = request.url.scheme == "https"
            answer.set_cookie(name, chosen, max_age=YEAR_SECONDS, secure=secure, httponly=True, samesite="lax")
    return answer


async def _save_notices(request: Request, form: Any) -> None:
    notifier = services_of(request).notifier
    listed = await ask(request, notifier.GetPreferences, api.GetPreferencesRequest())
    wishes = [
        api.NoticePreference(notice=each.notice, enabled=f"notice-{each.notice}" in form)
        for each in listed.notices
        if not each.mandatory
    ]
    await ask(request, notifier.UpdatePreferences, api.UpdatePreferencesRequest(notices=wishes))


def _back(path: str) -> str:
    """Only to a page of ours."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/settings?saved=1"
