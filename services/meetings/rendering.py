"""Rows and people as callers are told of them."""

import json
from collections.abc import Collection

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.meetings import steering
from services.meetings.ledger_models import ControlActRow, MakingRow, MeetingRow, QualitySampleRow, VisitRow
from services.meetings.people import Device, PersonWaiting, Presence, Target
from services.meetings.provider import MeetingKey
from services.platform.clock import to_timestamp

VERBS: dict[type[steering.Act], str] = {
    steering.ChangeSettings: "CHANGE_SETTINGS",
    steering.Mute: "MUTE",
    steering.Remove: "REMOVE",
    steering.SetCoHost: "SET_CO_HOST",
    steering.Admit: "ADMIT",
    steering.PutInWaitingRoom: "PUT_IN_WAITING_ROOM",
    steering.TurnAway: "TURN_AWAY",
    steering.Rename: "RENAME",
    steering.StopVideo: "STOP_VIDEO",
    steering.StopSharing: "STOP_SHARING",
    steering.Invite: "INVITE",
    steering.End: "END",
}
"""Names of control.ControlVerb."""


def verb(name: str) -> control.ControlVerb.ValueType:
    return control.ControlVerb.Value(f"CONTROL_VERB_{name}")


def verbs(acts: Collection[type[steering.Act]]) -> list[control.ControlVerb.ValueType]:
    """In the order of the contract."""
    return [verb(name) for kind, name in VERBS.items() if kind in acts]


def to_key(key: MeetingKey) -> meeting_pb2.MeetingKey:
    return meeting_pb2.MeetingKey(provider=key.provider, meeting_id=key.meeting_id, sub_meeting_id=key.sub_meeting_id)


def key_of(row: MeetingRow | ControlActRow) -> MeetingKey:
    return MeetingKey(row.provider, row.meeting_id, row.sub_meeting_id)


def key_of_making(row: MakingRow) -> MeetingKey:
    """What is made here takes place once."""
    return MeetingKey(row.provider, row.meeting_id)


def _time(milliseconds: int | None) -> Timestamp | None:
    return to_timestamp(milliseconds) if milliseconds else None


def to_meeting(row: MeetingRow) -> pb.ListedMeeting:
    return pb.ListedMeeting(
        meeting=to_key(key_of(row)),
        meeting_code=row.meeting_code,
        subject=row.subject,
        creator_account_id=row.creator,
        creator_name=row.creator_name,
        kind=pb.MeetingKind.Value(f"MEETING_KIND_{row.kind}"),
        phase=pb.MeetingPhase.Value(f"MEETING_PHASE_{row.phase}"),
        start_time=_time(row.start_time),
        end_time=_time(row.end_time),
        actual_start_time=_time(row.actual_start),
        actual_end_time=_time(row.actual_end),
        inside_count=row.inside_count,
        came_count=row.came_count,
        as_of=_time(row.as_of),
        version=row.version,
    )


DEVICES = frozenset(each.value for each in Device)


def to_device(terminal: str) -> pb.Device.ValueType:
    """Of a provider that says it in our words."""
    known = terminal if terminal in DEVICES else Device.UNKNOWN
    return pb.Device.Value(f"DEVICE_{known}")


def to_visit(row: VisitRow) -> pb.Visit:
    return pb.Visit(
        account_id=row.account,
        display_name=row.display_name,
        device=to_device(row.terminal),
        enter_time=_time(row.enter_time),
        leave_time=_time(row.leave_time),
    )


def to_sample(row: QualitySampleRow) -> pb.QualitySample:
    return pb.QualitySample(
        account_id=row.account,
        display_name=row.display_name,
        sample_time=_time(row.sample_time),
        delay_ms=row.delay,
        upstream_loss=row.upstream_loss,
        downstream_loss=row.downstream_loss,
        bad=row.bad,
    )


def to_target(target: Target) -> pb.Target:
    return pb.Target(person_id=target.person_id, terminal=target.terminal)


def to_person(person: Presence) -> pb.PersonInside:
    return pb.PersonInside(
        target=to_target(person.target),
        account_id=person.account,
        display_name=person.display_name,
        device=pb.Device.Value(f"DEVICE_{person.device}"),
        role=pb.MeetingRole.Value(f"MEETING_ROLE_{person.role}"),
        enter_time=_time(person.enter_time),
        microphone=person.microphone,
        camera=person.camera,
        sharing=person.sharing,
    )


def to_waiting(person: PersonWaiting) -> pb.PersonWaiting:
    return pb.PersonWaiting(
        target=to_target(person.target),
        account_id=person.account,
        display_name=person.display_name,
        enter_time=_time(person.enter_time),
    )


def to_act(row: ControlActRow) -> control.ControlAct:
    return control.ControlAct(
        act_id=row.act_id,
        meeting=to_key(key_of(row)),
        verb=verb(row.verb),
        outcome=control.ControlOutcome.Value(f"CONTROL_OUTCOME_{row.outcome or 'UNSPECIFIED'}"),
        refusal=row.refusal,
        provider_message=row.provider_message,
        actor_account_id=row.actor,
        reason=row.reason,
        people=json.loads(row.people),
        create_time=_time(row.create_time),
        finish_time=_time(row.finish_time),
    )
