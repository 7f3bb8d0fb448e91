"""Who books what: accounts with tokens, and requests that the default rules confirm.

Each account books ten meetings of the coming week, at most two a day, as the quota allows; each hour asks for fewer
rooms than there are. The requests are the same in every round.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from bench.load import Call, Person
from services.cli.client import booking_at
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import State
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp

CLOCK = "2025-07-07T08:00+08:00"  # a Monday: the whole week lies ahead
MIDNIGHT = 1_751_817_600_000  # when that day began, epoch ms
FIRST_HOUR, HOURS, DAYS = 10, 14, 7
EACH = 10
ACCOUNTS_PER_ROOM = 9  # 90 requests for the 98 hours of a room
CAPACITIES = (30, 30, 30, 99, 30, 30, 99, 30, 99, 300)

CREATE = "/yunhui.booking.v1.BookingService/CreateReservation"
CHECK = "/yunhui.booking.v1.BookingService/CheckReservation"


def make_rooms(state: State, address: str, number: int) -> None:
    with booking_at(address, issuer.mint(state, SampleAccount("admin", "admin"))) as booking:
        for index in range(number):
            capacity = CAPACITIES[index % len(CAPACITIES)]
            request = api.CreateRoomRequest(room_id=f"room-{index:03}", display_name=str(index), capacity=capacity)
            booking.ask(booking.stub.CreateRoom, request)


def make_issuer(root: Path) -> State:
    """One issuer for all installations of a run: tokens are signed once, before anything is measured."""
    state = State(root)
    state.prepare()
    issuer.prepare_keys(state)
    return state


def account_id(kind: str, number: int) -> str:
    return f"{kind}-{number:05}"


def wishes(rooms: int) -> list[list[api.CreateReservationRequest]]:
    """For each account its ten requests."""
    dice = random.Random(7)  # noqa: S311 - a fixed sample
    asked = [0] * DAYS
    people = []
    for number in range(rooms * ACCOUNTS_PER_ROOM):
        person = []
        for index in range(EACH):
            day = (number + index) % DAYS
            start = MIDNIGHT + day * DAY + (FIRST_HOUR + asked[day] % HOURS) * HOUR
            asked[day] += 1
            person.append(wish(dice, f"{number}-{index}", start))
        people.append(person)
    return people


def wish(dice: random.Random, request_id: str, start: int) -> api.CreateReservationRequest:
    """Of 41 to 60 minutes; one in five for 31 to 95 people, the others for 3 to 30."""
    return api.CreateReservationRequest(
        request_id=request_id,
        meeting_code=f"{dice.randrange(10**9):09}",
        subject="组会 group meeting",
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + dice.randint(41, 60) * MINUTE),
        participant_count=dice.randint(31, 95) if dice.random() < 0.2 else dice.randint(3, 30),
    )


def creating(state: State, rooms: int) -> list[Person]:
    """Calls of CreateReservation, signed by the issuer of `state`."""
    return signed(state, "booker", [[wish.SerializeToString() for wish in person] for person in wishes(rooms)])


def model(state: State) -> Person:
    """One request of an account that asks for nothing else."""
    return signed(state, "model", [[wishes(1)[0][0].SerializeToString()]])[0]


def checking(state: State, rooms: int) -> list[Person]:
    """The same questions as calls of CheckReservation, by other accounts."""
    return signed(
        state,
        "checker",
        [[api.CheckReservationRequest(request=wish).SerializeToString() for wish in each] for each in wishes(rooms)],
    )


def signed(state: State, kind: str, people: Sequence[Sequence[bytes]], first: int = 0) -> list[Person]:
    """Calls with the tokens of as many accounts, counted from `first`."""
    numbers = range(first, first + len(people))
    tokens = [issuer.mint(state, SampleAccount(account_id(kind, number), "booker")) for number in numbers]
    return [[Call(body, token) for body in bodies] for bodies, token in zip(people, tokens, strict=True)]


def must_be_confirmed(method: str, answers: Sequence[bytes]) -> None:
    """Raises RuntimeError for the first answer that is anything else."""
    kind = api.CreateReservationResponse if method == CREATE else api.CheckReservationResponse
    for answer in answers:
        parsed = kind.FromString(answer)
        if parsed.outcome != pb.OUTCOME_CONFIRMED:
            raise RuntimeError(f"not confirmed but {described(parsed)}")


def must_be_refused(answers: Sequence[bytes]) -> None:
    """To create, by a rule, and with other times offered. Raises RuntimeError for the first that is anything else."""
    for answer in answers:
        parsed = api.CreateReservationResponse.FromString(answer)
        if parsed.outcome != pb.OUTCOME_DENIED or not parsed.alternatives:
            raise RuntimeError(f"not refused with alternatives but {described(parsed)}")


def described(answer: api.CreateReservationResponse | api.CheckReservationResponse) -> str:
    rules = ", ".join(rule.rule_id for rule in answer.decision.rules)
    return f"{pb.Outcome.Name(answer.outcome)}: {rules}"
