"""A running installation of its own, for the demo: started, spoken to as many accounts, and stopped again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import simulator_service_pb2 as simulator
from yunhui.meetings.v1.meeting_pb2 import Meeting
from yunhui.meetings.v1.simulator_service_pb2_grpc import SimulatorServiceStub

from services.cli import mail, moments
from services.cli.client import Booking, Connection, booking_at
from services.cli.failures import CommandError
from services.cli.mail import Mail
from services.cli.reasons import FailureReason
from services.installation import development_clock, die_with_parent, issuer
from services.installation.issuer import SampleAccount
from services.installation.programs import base_environment
from services.installation.state import State
from services.platform.text.messages import message

T = TypeVar("T")

DEADLINE_SECONDS = 20.0
POLL_SECONDS = 0.05
STOP_SECONDS = 30.0


class Stage:
    """Accounts, the clock and the mail sink of one installation."""

    def __init__(self, state: State, addresses: Mapping[str, str], language: str) -> None:
        self.state = state
        self.language = language
        self._addresses = addresses
        self._bookings: dict[str, Booking] = {}
        self._simulators: dict[str, Connection[SimulatorServiceStub]] = {}

    def booking(self, account: str, role: str = "booker") -> Booking:
        """The connection of one account; its token is minted at the first call."""
        if account not in self._bookings:
            sample = SampleAccount(account, role, self.language)
            self._bookings[account] = booking_at(self._addresses["booking"], issuer.mint(self.state, sample))
        return self._bookings[account]

    def simulator(self, account: str) -> Connection[SimulatorServiceStub]:
        """What this account does in the meeting client."""
        if account not in self._simulators:
            token = issuer.mint(self.state, SampleAccount(account, "booker", self.language))
            self._simulators[account] = Connection(SimulatorServiceStub, self._addresses["meetings"], token)
        return self._simulators[account]

    def make_meeting(self, account: str, start: datetime, minutes: int) -> Meeting:
        """Raises CallError."""
        request = simulator.CreateMeetingRequest(
            subject=message("seminar").to(self.language),
            start_time=moments.to_timestamp(start),
            end_time=moments.to_timestamp(start + timedelta(minutes=minutes)),
        )
        meetings = self.simulator(account)
        return meetings.ask(meetings.stub.CreateMeeting, request).meeting

    def enter(self, account: str, meeting_code: str) -> None:
        """Raises CallError."""
        request = simulator.ActInMeetingRequest(meeting_code=meeting_code, act=simulator.SIMULATED_ACT_ENTER)
        meetings = self.simulator(account)
        meetings.ask(meetings.stub.ActInMeeting, request)

    def reserve(self, account: str, start: datetime, minutes: int, people: int) -> api.CreateReservationResponse:
        """A room for a meeting that was made for it. Raises CallError."""
        meeting = self.make_meeting(account, start, minutes)
        request = api.CreateReservationRequest(
            meeting_code=meeting.meeting_code,
            subject=meeting.subject,
            start_time=moments.to_timestamp(start),
            end_time=moments.to_timestamp(start + timedelta(minutes=minutes)),
            participant_count=people,
        )
        booking = self.booking(account)
        return booking.ask(booking.stub.CreateReservation, request)

    def reservation(self, account: str, reservation_id: str) -> pb.Reservation:
        booking = self.booking(account)
        request = api.GetReservationRequest(reservation_id=reservation_id)
        return booking.ask(booking.stub.GetReservation, request).reservation

    def standing(self, account: str) -> pb.Standing:
        booking = self.booking(account)
        return booking.ask(booking.stub.GetStanding, api.GetStandingRequest()).standing

    def mail_to(self, address: str) -> Mail | None:
        """The last one that was sent there."""
        received = [letter for letter in mail.read_all(self.state.mail) if address in letter.header("to")]
        return received[-1] if received else None

    def now(self) -> datetime:
        """The whole second that is under way."""
        return development_clock.now(self.state).replace(microsecond=0)

    def move_to(self, moment: datetime) -> None:
        development_clock.move_to(self.state, moment)

    def close(self) -> None:
        for booking in self._bookings.values():
            booking.close()
        for meetings in self._simulators.values():
            meetings.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wait_for(look: Callable[[], T | None]) -> T | None:
    """What `look` finds, as soon as it finds something; None after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(POLL_SECONDS)
    return None


@contextmanager
def raised(state: State, clock: str, language: str) -> Iterator[Stage]:
    """Runs `yunhui up` in `state` for as long as the block lasts. Raises CommandError when it does not start."""
    state.root.mkdir(parents=True, exist_ok=True)
    own = ["--json", "--ports", "auto", "--clock", clock, "--lang", language]
    up = [sys.executable, "-m", "services.cli", "up", *own]
    command = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *up, "--state", str(state.root)]
    log = state.root / "up.log"
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            env=base_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        line = process.stdout.readline()
        if not line:
            raise CommandError(FailureReason.DEMO_NOT_STARTED, log=log.read_text(errors="replace"))
        with Stage(state, json.loads(line), language) as stage:
            yield stage
    finally:
        stop(process)


def stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
