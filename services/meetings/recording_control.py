"""What is done to a recording: each act is stored, tried once at the provider, and answered with what became of it."""

import logging
from collections.abc import Callable

from services.meetings import recording_acts
from services.meetings.acts_under_way import PATIENCE_MS, ActStore, ActsUnderWay, under_way
from services.meetings.control import outcome_of
from services.meetings.control_acts import ABANDONED, DONE, ActOutcome
from services.meetings.provider import ProviderError
from services.meetings.recording_models import RecordingActRow
from services.meetings.recording_requests import Delete, RecordingOrder
from services.meetings.recordings import NoSuchRecordingError, Recording, RecordingProvider
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database

log = logging.getLogger(__name__)


class RecordingControl:
    """`committed` is called after each act, when there are new events; `changed`, when lists are not as they were."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        committed: Callable[[], None] = lambda: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._clock = database, clock
        self._changed = changed
        store = ActStore(recording_acts.finish, recording_acts.finish_abandoned, recording_acts.are_abandoned)
        self.acts = ActsUnderWay(database, clock, store, committed)

    async def earlier(self, order: RecordingOrder, caller: audit.Caller) -> RecordingActRow | None:
        """What came of the same request before. Raises ALREADY_EXISTS, ABORTED while it is under way."""
        row = await self._database.read(lambda c: recording_acts.earlier(c, caller.account_id, order))
        if row is None or row.outcome:
            return row
        if not recording_acts.is_abandoned(row):
            raise under_way()
        return await self.acts.finish(row.act_id, ABANDONED)

    async def do(
        self,
        provider: RecordingProvider,
        order: RecordingOrder,
        recording: Recording,
        on_behalf: str,
        caller: audit.Caller,
    ) -> RecordingActRow:
        """Once, of what was not asked for earlier. Raises errors.RpcError ABORTED."""
        now = self._clock.now()
        try:
            row = await self._database.write(
                lambda c: recording_acts.begin(c, order, caller, recording, now, PATIENCE_MS)
            )
        except ConflictError as error:  # the same request, at another replica, at the same moment
            raise under_way() from error
        return await self.acts.carry_out(self._carry_out(provider, order, on_behalf, row.act_id))

    async def _carry_out(
        self, provider: RecordingProvider, order: RecordingOrder, on_behalf: str, act_id: str
    ) -> RecordingActRow:
        try:
            if isinstance(order.what, Delete):
                outcome = await self._delete(provider, order, order.what.file_id, on_behalf)
            else:
                share = order.what
                outcome = await outcome_of(
                    provider.share_recording(order.key, share.sharing, share.password, on_behalf)
                )
        finally:
            self._changed()
        return await self.acts.finish(act_id, outcome)

    async def _delete(
        self, provider: RecordingProvider, order: RecordingOrder, file_id: str, on_behalf: str
    ) -> ActOutcome:
        """What is gone is deleted, whatever was answered: by this call, or by another at the same time."""
        outcome = await outcome_of(provider.delete_recording(order.key, file_id, on_behalf))
        if outcome.outcome != DONE and await _is_gone(provider, order, file_id, on_behalf):
            return ActOutcome(DONE)
        return outcome


async def _is_gone(provider: RecordingProvider, order: RecordingOrder, file_id: str, on_behalf: str) -> bool:
    """False when that is not sure."""
    try:
        left = await provider.recording(order.key, on_behalf)
    except NoSuchRecordingError:
        return True
    except ProviderError as error:
        log.info("whether a recording is gone is not known: %s", error)
        return False
    return bool(file_id) and left.files is not None and file_id not in {each.file_id for each in left.files}
