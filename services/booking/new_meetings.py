"""A reservation whose meeting is made with it: both come about, or neither does, wherever a program dies.

Decided first: no meeting is made for what would be refused. Then it is noted that one may be there soon, it is made,
and the transaction that stores the reservation takes the note away. What stands noted too long is unmade, by
settlement.py.
"""

from collections.abc import Callable
from dataclasses import replace

import grpc
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.meetings.v1 import making_pb2 as making

from services.booking import makings, meetings
from services.booking.admission import Admission
from services.booking.making_client import MakingClient, is_done, is_refused
from services.booking.requests import ReservationInput
from services.booking.transactions import Transactions, until_fresh
from services.platform.clock import Clock
from services.platform.serving import errors
from services.platform.text.messages import message


class NewMeetings:
    """`timer` tells real time; `wake` is told when something is to be unmade."""

    def __init__(
        self,
        transactions: Transactions,
        admission: Admission,
        client: MakingClient,
        timer: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._transactions = transactions
        self._admission = admission
        self._client = client
        self._timer = timer
        self._wake = wake

    async def create(self, wanted: ReservationInput) -> api.CreateReservationResponse:
        """`wanted` has a request_id and lacks its meeting. Raises errors.RpcError; then there is neither."""
        return await until_fresh(lambda: self._create(wanted))

    async def _create(self, wanted: ReservationInput) -> api.CreateReservationResponse:
        """Raises StaleError when it was answered meanwhile, or took too long: then with another meeting."""
        answer = await self._admission.refuse(wanted)
        if isinstance(answer, api.CreateReservationResponse):
            return answer
        making_id = await self._note(wanted)
        try:
            created = await self._admission.create(await self._make(making_id, wanted))
        except Exception:
            await self._give_up(making_id)
            raise
        if not created.HasField("reservation"):
            self._wake()
        return created

    async def _note(self, wanted: ReservationInput) -> str:
        key, due = (wanted.actor, wanted.request_id), self._timer.now() + makings.PATIENCE
        return await self._transactions.database.write(lambda c: makings.open_for(c, key, wanted.body_hash, due))

    async def _make(self, making_id: str, wanted: ReservationInput) -> ReservationInput:
        """With its meeting. Raises errors.RpcError."""
        response = await self._client.make(making_id, wanted)
        if is_refused(response):
            raise refused(response, "MEETING_NOT_MADE")
        if not is_done(response):
            raise in_doubt()
        found = response.meeting
        return replace(
            wanted,
            meeting_code=found.meeting_code,
            meeting=meetings.choose(found, *wanted.interval),
            making_id=making_id,
        )

    async def _give_up(self, making_id: str) -> None:
        """What the provider refused, too: the same request may be under way twice, and only one of them was."""
        await self._transactions.database.write(lambda c: makings.give_up(c, [making_id]))
        self._wake()


def refused(response: making.MakingResponse, reason: str) -> errors.RpcError:
    """With the provider's words."""
    figures = {"refusal": response.refusal, "said": response.provider_message}
    words = (
        message("the provider of meetings refused that: {said}", said=response.provider_message)
        if response.provider_message
        else message("the provider of meetings refused that ({refusal})", refusal=response.refusal)
    )
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, words, figures=figures)


def in_doubt() -> errors.RpcError:
    """Nobody knows what the provider did; it is put right."""
    words = message("the provider of meetings did not say whether that was done: it is taken back, please try again")
    return errors.failure(grpc.StatusCode.UNAVAILABLE, "MEETING_IN_DOUBT", words, retry_seconds=1)


def not_here() -> errors.RpcError:
    return errors.invalid("new_meeting", message("no meetings are made here: give the number of one that there is"))
