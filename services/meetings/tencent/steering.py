"""Acts in a running meeting: on whose behalf they are tried, and what a refusal means. None is done twice.

Only an answer with an error code says that nothing was done: after any other an act is not tried again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.meetings.provider import (
    IncompleteError,
    MeetingKey,
    NoSuchPersonError,
    ProviderError,
    WrongStateError,
)
from services.meetings.steering import Act, ChangeSettings, End, Invite
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import Done, Invited, Invitees, PersonId
from services.meetings.tencent.client import Call, TencentClient
from services.meetings.tencent.errors import ANOTHER_MAY, INVALID, TRANSIENT, Endpoint, code_of
from services.meetings.tencent.instructions import PERSON, TERMINAL, Instruction, to_instruction
from services.meetings.tencent.paths import control_path, meeting_path
from services.meetings.tencent.people import TencentPeople

log = logging.getLogger(__name__)

USER = 1
MOST_INVITEES, INVITEE_PAGES = 2000, 20
TAKE_AWAY = {Endpoint.REMOVE, Endpoint.WAITING_ROOM}
"""After these, that nobody is there does not say that nothing was done."""


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """On whose behalf: `operator_id` and `operator_id_type`."""

    id: str
    kind: int


class Steering:
    """`operator` is a userid of an administrator, who is tried last: most acts are for creator and hosts."""

    def __init__(self, client: TencentClient, accounts: Accounts, operator: str, people: TencentPeople) -> None:
        self._client = client
        self._accounts = accounts
        self._operator = operator
        self._people = people
        self._inviting = asyncio.Lock()

    async def do(self, key: MeetingKey, act: Act, creator: str) -> None:
        if isinstance(act, Invite):
            await self._invite(key, act, creator)
        elif isinstance(act, End):
            await self._end(key, act, creator)
        elif act != ChangeSettings():
            await self._obey(key, to_instruction(act), creator)

    async def _end(self, key: MeetingKey, act: End, creator: str) -> None:
        try:
            await self._obey(key, to_instruction(act), creator)
        except WrongStateError as error:
            log.info("%s: taken as done", error)

    async def _obey(self, key: MeetingKey, instruction: Instruction, creator: str) -> None:
        """On behalf of one after the other, until one is permitted. Raises what the first was told."""
        refusals: list[ProviderError] = []
        async for operator in self._operators(key, creator):
            try:
                await self._send(key, instruction, operator)
                return
            except ProviderError as error:
                refusals.append(error)
                code = code_of(error)
                if code == INVALID or (code in TRANSIENT and instruction.endpoint not in TAKE_AWAY):
                    await self._explain(key, instruction, creator, error)
                if code not in ANOTHER_MAY:
                    raise
                log.info("%s, as operator of kind %d", error, operator.kind)
        raise _most_telling(refusals)

    async def _send(self, key: MeetingKey, instruction: Instruction, operator: OnBehalf) -> None:
        path = (
            f"{meeting_path(key.meeting_id)}/dismiss"
            if instruction.endpoint == Endpoint.END
            else control_of(key, instruction)
        )
        who = {"operator_id": operator.id, "operator_id_type": operator.kind, "instanceid": TERMINAL}
        await self._client.ask(Call(instruction.endpoint, path, {}, {**who, **instruction.body}), Done)

    async def _operators(self, key: MeetingKey, creator: str) -> AsyncIterator[OnBehalf]:
        """The creator, the same by the id in this meeting, the administrator."""
        user = self._accounts.to_user(creator) if creator else ""
        if user:
            yield OnBehalf(user, USER)
            person_id = await self._person_id(key, user)
            if person_id:
                yield OnBehalf(person_id, PERSON)
        if user != self._operator:
            yield OnBehalf(self._operator, USER)

    async def _person_id(self, key: MeetingKey, user: str) -> str:
        query = {"operator_id": user, "operator_id_type": str(USER)}
        call = Call(Endpoint.PERSON_ID, f"{meeting_path(key.meeting_id)}/ms-open-id", query)
        try:
            return (await self._client.ask(call, PersonId)).ms_open_id
        except ProviderError as error:
            log.info("%s: who made the meeting has no id in it", error)
            return ""

    async def _explain(self, key: MeetingKey, instruction: Instruction, creator: str, refusal: ProviderError) -> None:
        """What the code does not say. Raises WrongStateError when the meeting does not run, NoSuchPersonError."""
        try:
            if not await self._people.runs(key):
                raise WrongStateError(f"{refusal}: nobody is inside") from refusal.__cause__
            if not instruction.targets or code_of(refusal) != INVALID:
                return
            there = await (self._people.waiting(key, creator) if instruction.who_wait else self._people.inside(key))
        except WrongStateError:
            raise
        except ProviderError as error:
            log.info("why %s is not known: %s", refusal, error)
            return
        known = {each.target.person_id for each in there}
        if any(each.person_id not in known for each in instruction.targets):
            raise NoSuchPersonError(f"{refusal}: not there") from refusal.__cause__

    async def _invite(self, key: MeetingKey, act: Invite, creator: str) -> None:
        """The list is replaced: one at a time, so that of two neither loses whom the other invited."""
        user = self._accounts.to_user(creator) if creator else self._operator
        async with self._inviting:
            try:
                await self._invite_as(user, key, act)
            except ProviderError as error:
                if user == self._operator or code_of(error) not in ANOTHER_MAY:
                    raise
                await self._invite_as(self._operator, key, act)

    async def _invite_as(self, user: str, key: MeetingKey, act: Invite) -> None:
        """Raises NoSuchPersonError when some are unknown over there; the others are invited then."""
        invited = await self._invitees(user, key)
        new = [each for each in map(self._accounts.to_user, act.accounts) if each not in set(invited)]
        everybody = list(dict.fromkeys([*invited, *new]))
        if not new:
            return
        if len(everybody) > MOST_INVITEES:
            raise ProviderError(f"{Endpoint.INVITE}: no more than {MOST_INVITEES} can be invited")
        body = {"userid": user, "instanceid": TERMINAL, "invitees": [{"userid": each} for each in everybody]}
        call = Call(Endpoint.INVITE, f"{meeting_path(key.meeting_id)}/invitees", {}, body)
        answer = await self._client.ask(call, Invited)
        unknown = set(new) & set(answer.user_non_registered)
        if unknown:
            raise NoSuchPersonError(f"{Endpoint.INVITE}: {len(unknown)} of {len(new)} are unknown there")

    async def _invitees(self, user: str, key: MeetingKey) -> list[str]:
        """All of them. Raises IncompleteError."""
        path, position = f"{meeting_path(key.meeting_id)}/invitees", 0
        found: list[str] = []
        for _ in range(INVITEE_PAGES):
            query = {"userid": user, "instanceid": str(TERMINAL), "pos": str(position)}
            answer = await self._client.ask(Call(Endpoint.INVITEES, path, query), Invitees)
            found += [each.userid for each in answer.invitees]
            if not answer.has_remaining and all(found):
                return found
            if answer.next_pos <= position or not answer.invitees:
                break
            position = answer.next_pos
        raise IncompleteError(f"{Endpoint.INVITEES}: there is more than can be read")


def control_of(key: MeetingKey, instruction: Instruction) -> str:
    return f"{control_path(key.meeting_id)}/{instruction.endpoint.rpartition('/')[2]}"


def _most_telling(refusals: list[ProviderError]) -> ProviderError:
    """That it is not permitted tells more than that some parameter is wrong."""
    return next((each for each in refusals if code_of(each) != INVALID), refusals[0])
