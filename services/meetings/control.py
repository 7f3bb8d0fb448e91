"""Steering a meeting: each act is stored, done once by the provider, and answered with what became of it."""

import logging
from collections.abc import Awaitable, Callable

import grpc
from sqlalchemy.engine import Connection
from sqlmodel import Session, select

from services.meetings import control_acts, ledger, listing
from services.meetings.acts_under_way import PATIENCE_MS, ActStore, ActsUnderWay, under_way
from services.meetings.control_acts import ABANDONED, DONE, PROVIDER_AWAY, REFUSED, UNKNOWN, ActOutcome
from services.meetings.ledger_models import ControlActRow, MeetingRow, VisitRow
from services.meetings.orders import SteeringOrder
from services.meetings.people_now import PeopleNow
from services.meetings.provider import (
    AwayError,
    MisconfiguredError,
    NoSuchMeetingError,
    Phase,
    Provider,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
)
from services.meetings.providers import Providers
from services.meetings.steering import Invite
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import message

log = logging.getLogger(__name__)


class Control:
    """`committed` is called after each act."""

    def __init__(
        self, database: Database, clock: Clock, providers: Providers, people: PeopleNow, committed: Callable[[], None]
    ) -> None:
        self._database, self._clock, self._providers = database, clock, providers
        self._people = people
        store = ActStore(control_acts.finish, control_acts.finish_abandoned, control_acts.are_abandoned)
        self.acts = ActsUnderWay(database, clock, store, committed)

    async def do(self, order: SteeringOrder, caller: audit.Caller) -> ControlActRow:
        """Once for each request of the caller. Raises errors.RpcError."""
        row = await self._earlier(order, caller)
        if row is not None:
            return row
        provider = self._provider(order)
        try:
            row = await self._database.write(lambda connection: self._begin(connection, order, caller))
        except ConflictError as error:  # the same request, at another replica, at the same moment
            raise under_way() from error
        return await self.acts.carry_out(self._carry_out(provider, order, row))

    async def _earlier(self, order: SteeringOrder, caller: audit.Caller) -> ControlActRow | None:
        row = await self._database.read(lambda c: control_acts.earlier(c, caller.account_id, order))
        if row is None or row.outcome:
            return row
        if not control_acts.is_abandoned(row):
            raise under_way()
        act_id = row.act_id
        return await self.acts.finish(act_id, ABANDONED)

    def _provider(self, order: SteeringOrder) -> Provider:
        try:
            provider = self._providers.of_meeting(order.meeting)
        except NoSuchMeetingError as error:
            raise listing.no_such_meeting() from error
        if type(order.act) not in provider.acts:
            raise no_such_verb()
        return provider

    def _begin(self, connection: Connection, order: SteeringOrder, caller: audit.Caller) -> ControlActRow:
        """Raises NOT_FOUND, FAILED_PRECONDITION: then nothing is stored."""
        with open_session(connection) as session:
            meeting = ledger.find(session, order.meeting)
            if meeting is None:
                raise listing.no_such_meeting()
            if meeting.phase != Phase.RUNNING:
                words = message("the meeting does not run, or not any more")
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEETING_NOT_RUNNING", words)
            people = self._names(session, meeting, order)
        now = self._clock.now()
        return control_acts.begin(connection, order, caller, people, meeting.creator, now, PATIENCE_MS)

    def _names(self, session: Session, meeting: MeetingRow, order: SteeringOrder) -> list[str]:
        """As they showed themselves last, or as they were reported."""
        if isinstance(order.act, Invite):
            return [*order.act.accounts]
        seen = self._people.names(order.meeting)
        names = []
        for target in order.targets:
            of_them = select(VisitRow.display_name).where(
                VisitRow.meeting_row == meeting.id, VisitRow.person == target.person_id, VisitRow.display_name != ""
            )
            names.append(seen.get(target) or session.exec(of_them.limit(1)).first() or "")
        return [name for name in names if name]

    async def _carry_out(self, provider: Provider, order: SteeringOrder, row: ControlActRow) -> ControlActRow:
        try:
            outcome = await attempt(provider, order, row.creator)
        finally:
            self._people.forget(order.meeting)
        return await self.acts.finish(row.act_id, outcome)


async def attempt(provider: Provider, order: SteeringOrder, creator: str) -> ActOutcome:
    """Exactly one call of the provider's `do`, and what it came to."""
    return await outcome_of(provider.do(order.meeting, order.act, creator))


async def outcome_of(call: Awaitable[None]) -> ActOutcome:
    """What came of a call of the provider that changes something."""
    try:
        await call
    except (RateLimitedError, MisconfiguredError) as error:  # nothing was done
        return ActOutcome(REFUSED, error.reason, str(error))
    except AwayError as error:
        log.warning("nobody knows whether an act was done: %s", error)
        return ActOutcome(UNKNOWN, PROVIDER_AWAY, str(error))
    except UnsupportedError as error:
        return ActOutcome(REFUSED, ProviderError.reason, str(error))
    except ProviderError as error:
        return ActOutcome(REFUSED, error.reason if error.reason in REFUSALS else ProviderError.reason, str(error))
    except Exception:
        log.exception("an act failed")
        return ActOutcome(UNKNOWN, PROVIDER_AWAY, "")
    return ActOutcome(DONE)


REFUSALS = frozenset(
    {
        *("NOT_PERMITTED", "WRONG_STATE", "NO_SUCH_PERSON", "NO_SUCH_MEETING", "NO_SUCH_RECORDING"),
        *("RATE_LIMITED", "PROVIDER_AWAY"),
    }
)
"""Those of the contracts, beside PROVIDER_REFUSED."""


def no_such_verb() -> errors.RpcError:
    words = message("the meeting provider has no way to do this")
    return errors.failure(grpc.StatusCode.UNIMPLEMENTED, "NO_SUCH_VERB", words)
