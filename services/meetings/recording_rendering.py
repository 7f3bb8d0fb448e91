"""Recordings, links and acts as callers are told of them."""

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api

from services.meetings import rendering
from services.meetings.provider import MeetingKey
from services.meetings.recording_models import RecordingActRow
from services.meetings.recording_requests import to_id
from services.meetings.recordings import Recording, RecordingFile, RecordingKey, RecordingLinks, RecordingState, Sharing
from services.platform.clock import to_timestamp


def _time(milliseconds: int | None) -> Timestamp | None:
    return to_timestamp(milliseconds) if milliseconds else None


def to_recording(recording: Recording, sharing: Sharing | None = None, delete_time: int | None = None) -> pb.Recording:
    key = recording.key
    return pb.Recording(
        recording_id=to_id(key),
        meeting=rendering.to_key(MeetingKey(key.provider, key.meeting_id, recording.sub_meeting_id)),
        meeting_code=recording.meeting_code,
        subject=recording.subject,
        creator_account_id=recording.creator,
        start_time=_time(key.start_time),
        state=pb.RecordingState.Value(f"RECORDING_STATE_{recording.state}"),
        files=[_to_file(each) for each in recording.files or ()],
        files_known=recording.files is not None,
        sharing=to_sharing(sharing) if sharing else None,
        delete_time=_time(delete_time),
    )


def _to_file(file: RecordingFile) -> pb.RecordingFile:
    return pb.RecordingFile(
        file_id=file.file_id,
        start_time=_time(file.start_time),
        end_time=_time(file.end_time),
        size_bytes=max(file.size, 0),
    )


def to_sharing(sharing: Sharing) -> pb.RecordingSharing:
    return pb.RecordingSharing(
        audience=audience(sharing.audience),
        has_password=sharing.has_password,
        expire_time=_time(sharing.expire_time),
        may_download=sharing.may_download,
    )


def audience(name: str) -> pb.RecordingAudience.ValueType:
    """ "" is none."""
    return pb.RecordingAudience.Value(f"RECORDING_AUDIENCE_{name or 'UNSPECIFIED'}")


def to_links(links: RecordingLinks) -> api.GetRecordingLinksResponse:
    files = [
        pb.RecordingLinks(
            file_id=each.file_id,
            play_address=each.play,
            download_address=each.download,
            audio_address=each.audio,
            expire_time=_time(each.expire_time),
        )
        for each in links.files
    ]
    return api.GetRecordingLinksResponse(files=files, share_address=links.share, share_password=links.password)


def deleted(row: RecordingActRow) -> Recording:
    """What is left of one that was deleted."""
    return Recording(key_of(row), RecordingState.DELETED, row.meeting_code, row.subject, row.creator, ())


def key_of(row: RecordingActRow) -> RecordingKey:
    return RecordingKey(row.provider, row.meeting_id, row.recording_id, row.start_time)


def to_act(row: RecordingActRow) -> pb.RecordingAct:
    return pb.RecordingAct(
        act_id=row.act_id,
        verb=pb.RecordingVerb.Value(f"RECORDING_VERB_{row.verb}"),
        file_id=row.file_id,
        outcome=control.ControlOutcome.Value(f"CONTROL_OUTCOME_{row.outcome or 'UNSPECIFIED'}"),
        refusal=row.refusal,
        provider_message=row.provider_message,
        actor_account_id=row.actor,
        reason=row.reason,
        create_time=_time(row.create_time),
        finish_time=_time(row.finish_time),
    )
