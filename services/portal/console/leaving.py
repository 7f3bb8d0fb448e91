"""A member who leaves: what becomes of their coming reservations is asked with the act, done before it, and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as directory

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, services_of, text_of
from services.portal.console.forms import FormRefusal, attempt, refused
from services.portal.rendering import reader_of
from services.portal.times import stamp_of

ACTS = ("disable", "delete")
NEEDED = ("reservations.manage", "reservations.view_all")
SHOWN, CANDIDATES = 50, 10
CHOICES: Mapping[str, Text] = {
    "keep": message("They stay as they are"),
    "cancel": message("They are cancelled"),
    "hand-over": message("A member takes them over"),
}
OUTCOMES: Mapping[int, Text] = {
    booking.COMING_OUTCOME_CANCELLED: message("Cancelled"),
    booking.COMING_OUTCOME_HANDED_OVER: message("Handed over"),
    booking.COMING_OUTCOME_REFUSED: message("Stays as it was"),
}
REASONS = {
    **dict.fromkeys(("ACCOUNT_NOT_FOUND", "ACCOUNT_DISABLED", "SECOND_PERSON_NEEDED"), "new_account"),
    "new_account_id": "new_account",
}


@dataclass(frozen=True, slots=True)
class LeavingForm:
    """What was chosen, and whom it may mean."""

    coming: list[pb.Reservation] = field(default_factory=list)
    choice: str = ""
    query: str = ""
    candidates: list[member_pb2.Member] = field(default_factory=list)


async def ask_for(request: Request, account_id: str, given: Any = None) -> LeavingForm:
    """With nothing to choose for who may not do it."""
    if not all(may(request, permission) for permission in NEEDED):
        return LeavingForm()
    chosen = text_of(given, "coming") if given else ""
    query = text_of(given, "new_account", 100) if given else ""
    found = await _candidates(request, query) if chosen == "hand-over" and query else []
    return LeavingForm(await coming_of(request, account_id), chosen, query, found)


async def coming_of(request: Request, account_id: str) -> list[pb.Reservation]:
    """The last ones that have not begun, earliest first. Raises grpc.aio.AioRpcError."""
    now = stamp_of(reader_of(request).now)
    states = (pb.RESERVATION_STATE_CONFIRMED, pb.RESERVATION_STATE_PENDING_APPROVAL)
    question = booking.ListReservationsRequest(account_id=account_id, states=states, after=now, page_size=SHOWN)
    answer = await ask(request, services_of(request).booking.ListReservations, question)
    return [each for each in reversed(answer.reservations) if each.start_time.seconds > now.seconds]


async def _candidates(request: Request, query: str) -> list[member_pb2.Member]:
    """Whom the words mean: the one of that account, or all that are found."""
    question = directory.ListMembersRequest(
        query=query, statuses=[member_pb2.MEMBER_STATUS_ENABLED], page_size=CANDIDATES
    )
    found = list((await ask(request, services_of(request).members.ListMembers, question)).members)
    return [each for each in found if each.account_id == query] or found


async def settle(request: Request, account_id: str, given: Any) -> list[booking.ComingReservation] | FormRefusal:
    """What became of each. Raises grpc.aio.AioRpcError."""
    form, language = await ask_for(request, account_id, given), reader_of(request).language
    if form.choice == "keep" or not form.coming:
        return []
    if form.choice == "cancel":
        cancelling = booking.CancelComingReservationsRequest(account_id=account_id)
        return await _every_page(request, services_of(request).booking.CancelComingReservations, cancelling)
    if form.choice != "hand-over":
        return refused(message("Choose what becomes of the reservations.").to(language), "coming")
    if len(form.candidates) != 1:
        words = message("Choose who takes them over.") if form.candidates else message("No enabled member is found.")
        return refused(words.to(language), "new_account")
    new_account_id = form.candidates[0].account_id
    handing = booking.HandOverReservationsRequest(account_id=account_id, new_account_id=new_account_id)
    return await _every_page(request, services_of(request).booking.HandOverReservations, handing)


async def _every_page(request: Request, method: Any, question: Any) -> list[booking.ComingReservation] | FormRefusal:
    answer = await attempt(request, method, question, REASONS)
    if isinstance(answer, FormRefusal):
        return answer
    done = list(answer.reservations)
    while answer.next_page_token:
        question.page_token = answer.next_page_token
        answer = await ask(request, method, question)
        done += answer.reservations
    return done
