"""The stand-in's cloud recordings, in memory: what is recorded, how long its files take, and who may see it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.standin.telling import told, told_by_name, told_meeting

if TYPE_CHECKING:
    from services.standin.cloud import CloudMeeting
    from services.standin.sender import WebhookSender

TRANSCODING_SECONDS = 60
UNDER_WAY, IN_THE_MAKING, DONE = 1, 2, 3
BYTES_A_SECOND = 100_000


@dataclass(slots=True)
class CloudRecordFile:
    """Seconds; `end` is 0 while it is recorded."""

    file_id: str
    start: int
    end: int = 0


@dataclass(slots=True)
class CloudRecording:
    """Of one sitting. `config` is what was said of sharing, as the API has it."""

    record_id: str
    meeting: "CloudMeeting"
    sub_meeting_id: str
    start: int
    files: list[CloudRecordFile] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=lambda: {"enable_sharing": False})

    def state(self, now: float) -> int:
        if any(not each.end for each in self.files):
            return UNDER_WAY
        ready = max(each.end for each in self.files) + TRANSCODING_SECONDS
        return DONE if now >= ready else IN_THE_MAKING


class CloudRecordings:
    """All of the enterprise. The webhooks that follow are sent."""

    def __init__(self, sender: "WebhookSender", now: Callable[[], float]) -> None:
        self._sender = sender
        self._now = now
        self.by_id: dict[str, CloudRecording] = {}
        self._last_id = 1_790_000_000_000_000_000

    def begin(self, meeting: "CloudMeeting", sub: str = "", at: int = 0) -> CloudRecording:
        """`at`: lets it have happened at another time, as below."""
        moment = at or int(self._now())
        going_on = [each for each in self.by_id.values() if each.meeting is meeting and each.sub_meeting_id == sub]
        found = going_on[-1] if going_on else CloudRecording(self._id(), meeting, sub, moment)
        self.by_id[found.record_id] = found
        if all(each.end for each in found.files):
            found.files.append(CloudRecordFile(self._id(), moment))
        return found

    def stop(self, meeting: "CloudMeeting", at: int = 0) -> None:
        for each in self.by_id.values():
            for file in each.files if each.meeting is meeting else []:
                file.end = file.end or at or int(self._now())

    def delete(self, recording: CloudRecording, who: str, file_id: str = "") -> None:
        recording.files = [each for each in recording.files if file_id and each.file_id != file_id]
        if not recording.files:
            del self.by_id[recording.record_id]
        moment, meeting = int(self._now()) * 1000, told_meeting(recording.meeting, recording.sub_meeting_id, None)
        self._sender.send(told("recording.deleted", moment, meeting, told_by_name(who), None))

    def _id(self) -> str:
        self._last_id += 1
        return str(self._last_id)


def ticket() -> str:
    return uuid.uuid4().hex
