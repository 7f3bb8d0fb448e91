"""The stand-in's calls about cloud recordings: as strict as the documents. For the creator and the administrator.

What the documents do not say: the code for a recording that does not exist (9003 here), and for one that is deleted
while it is being recorded (190004).
"""

import re
from collections.abc import Mapping
from typing import Any

from services.standin.cloud import Cloud
from services.standin.recordings import BYTES_A_SECOND, DONE, UNDER_WAY, CloudRecordFile, CloudRecording, ticket
from services.standin.request_checks import Refusal
from services.standin.wire import USER, Body, Query, caller, meeting_of, not_permitted, page_of

MONTH = 31 * 86400
LARGEST_PAGE, USUAL_PAGE = 20, 10
CLOUD_KINDS = ("0", "1")
"""Of query_record_type: those among which cloud recordings are."""
KINDS = {*CLOUD_KINDS, "2", "4", "5"}
ADDRESS = "https://recordings.example.invalid"
CONFIG: Mapping[str, tuple[Any, ...] | type] = {
    "enable_sharing": bool,
    "share_scope": (0, 1),
    "sharing_auth_type": (0, 1, 2),
    "enable_password": bool,
    "password": str,
    "enable_sharing_expire": bool,
    "sharing_expire": int,
    "allow_download": bool,
    "allow_view_transcripts": bool,
    "enable_approve": bool,
}
PARTICIPANTS, SAME_CORP = 2, 1


class RecordingCalls:
    """`share_kinds`: operator_id_types that changing who may see it takes; its page says 3 alone, and else `userid`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.share_kinds = {USER}

    def corp_records(self, _: str, query: Query, _body: Body) -> Body:
        """Of the whole enterprise, without files."""
        if caller(self.cloud, self._operator(query)) != self.cloud.admin:
            raise Refusal(500014, "NO PERMISSION", 403)
        return self._listed(query, list(self.cloud.recordings.by_id.values()), with_files=False)

    def records(self, _: str, query: Query, _body: Body) -> Body:
        who = caller(self.cloud, self._operator(query))
        found = list(self.cloud.recordings.by_id.values())
        if meeting_id := query.get("meeting_id"):
            if who not in (meeting_of(self.cloud, meeting_id).creator, self.cloud.admin):
                raise not_permitted()
            found = [each for each in found if each.meeting.meeting_id == meeting_id]
        elif code := query.get("meeting_code"):
            found = [each for each in found if each.meeting.code == code]
            if any(who not in (each.meeting.creator, self.cloud.admin) for each in found):
                raise not_permitted()
        else:
            found = [each for each in found if each.meeting.creator == who]
        return self._listed(query, found, with_files=True)

    def addresses(self, _: str, query: Query, _body: Body) -> Body:
        recording = self._own(query.get("meeting_record_id", ""), self._operator(query))
        ready = recording.state(self.cloud.now()) == DONE
        shown, counted = page_of(recording.files if ready else [], query, most=50, size=20)
        return {
            **counted,
            "meeting_record_id": recording.record_id,
            "meeting_id": recording.meeting.meeting_id,
            "meeting_code": recording.meeting.code,
            "subject": recording.meeting.subject,
            "record_files": [_addresses(each) for each in shown],
        }

    def settings(self, record_id: str, query: Query, _body: Body) -> Body:
        recording = self._own(record_id, self._operator(query))
        config = {name: value for name, value in recording.config.items() if name != "sharing_auth_type"}
        return {
            "meeting_id": recording.meeting.meeting_id,
            "meeting_record_name": recording.meeting.subject,
            "sharing_config": config,
        }

    def share(self, record_id: str, _query: Query, body: Body) -> Body:
        who = str(body.get("userid", ""))
        if "operator_id" in body:
            if str(body.get("operator_id_type", "")) not in self.share_kinds:
                raise Refusal(190004, "operator_id_type must be one of those taken: use userid")
            who = str(body["operator_id"])
        recording = self._own(record_id, who)
        recording.config = read_config(body.get("sharing_config"))
        return {}

    def delete(self, _: str, query: Query, _body: Body) -> Body:
        return self._delete(self._own(query.get("meeting_record_id", ""), self._operator(query)), query)

    def delete_file(self, file_id: str, query: Query, _body: Body) -> Body:
        for each in self.cloud.recordings.by_id.values():
            if file_id in {file.file_id for file in each.files}:
                return self._delete(self._own(each.record_id, self._operator(query)), query, file_id)
        raise Refusal(9003, "RECORDING NOT EXIST")

    def _delete(self, recording: CloudRecording, query: Query, file_id: str = "") -> Body:
        if query.get("meeting_id", recording.meeting.meeting_id) != recording.meeting.meeting_id:
            raise Refusal(9003, "RECORDING NOT EXIST")
        if recording.state(self.cloud.now()) == UNDER_WAY:
            raise Refusal(190004, "the recording is under way")
        self.cloud.recordings.delete(recording, query["operator_id"], file_id)
        return {}

    def _operator(self, query: Query) -> str:
        if query.get("operator_id_type", "") != USER or not query.get("operator_id"):
            raise Refusal(190004, "operator_id with operator_id_type 1 is required")
        return query["operator_id"]

    def _own(self, record_id: str, who: str) -> CloudRecording:
        caller(self.cloud, who)
        recording = self.cloud.recordings.by_id.get(record_id)
        if recording is None:
            raise Refusal(9003, "RECORDING NOT EXIST")
        if who not in (recording.meeting.creator, self.cloud.admin):
            raise not_permitted()
        return recording

    def _listed(self, query: Query, found: list[CloudRecording], *, with_files: bool) -> Body:
        """Both ends of the window are in it, in seconds; what began is told in milliseconds."""
        start, end = (query.get(name, "") for name in ("start_time", "end_time"))
        if not (re.fullmatch(r"\d{1,10}", start) and re.fullmatch(r"\d{1,10}", end)):
            raise Refusal(190004, "start_time and end_time are required, in seconds")
        if not 0 <= int(end) - int(start) <= MONTH:
            raise Refusal(190004, "at most 31 days")
        if query.get("query_record_type", "1") not in KINDS:
            raise Refusal(190004, "query_record_type must be 0, 1, 2, 4 or 5")
        if query.get("query_record_type", "1") not in CLOUD_KINDS:
            found = []
        rows = [each for each in found if int(start) <= each.start <= int(end)]
        rows.sort(key=lambda each: (each.start, each.record_id), reverse=True)
        shown, counted = page_of(rows, query, most=LARGEST_PAGE, size=USUAL_PAGE)
        return {**counted, "record_meetings": [self._row(each, with_files=with_files) for each in shown]}

    def _row(self, each: CloudRecording, *, with_files: bool) -> Body:
        state = each.state(self.cloud.now())
        row: Body = {
            "meeting_record_id": each.record_id,
            "meeting_id": each.meeting.meeting_id,
            "meeting_code": each.meeting.code,
            "subject": each.meeting.subject,
            "media_start_time": each.start * 1000,
            "state": state,
            "record_type": 0,
        }
        if not with_files:
            return row | {"userid": each.meeting.creator}
        return row | ({"record_files": [_file(each, file) for file in each.files]} if state == DONE else {})


def _file(recording: CloudRecording, file: CloudRecordFile) -> Body:
    config = recording.config
    told: Body = {
        "record_file_id": file.file_id,
        "record_start_time": file.start * 1000,
        "record_end_time": file.end * 1000,
        "record_size": (file.end - file.start) * BYTES_A_SECOND,
        "sharing_state": int(config["enable_sharing"]),
    }
    if not config["enable_sharing"]:
        return told
    return told | {
        "sharing_url": f"{ADDRESS}/crm/{recording.record_id}",
        "required_same_corp": config.get("sharing_auth_type") == SAME_CORP,
        "required_participant": config.get("sharing_auth_type") == PARTICIPANTS,
        "password": config.get("password", ""),
        "sharing_expire": config.get("sharing_expire", 0),
        "allow_download": config.get("allow_download", False),
    }


def _addresses(file: CloudRecordFile) -> Body:
    """Other ones each time."""
    return {
        "record_file_id": file.file_id,
        "view_address": f"{ADDRESS}/cw/{file.file_id}?ticket={ticket()}",
        "download_address": f"{ADDRESS}/download/{file.file_id}.mp4?ticket={ticket()}",
        "download_address_file_type": "mp4",
        "audio_address": f"{ADDRESS}/download/{file.file_id}.m4a?ticket={ticket()}",
        "audio_address_file_type": "m4a",
        "meeting_summary": [],
    }


def read_config(given: Any) -> Body:
    """With its defaults. Raises Refusal for what may not be said together."""
    if not isinstance(given, dict):
        raise Refusal(190004, "sharing_config is required")
    for name, value in given.items():
        allowed = CONFIG.get(name)
        fits = value in allowed if isinstance(allowed, tuple) else allowed is not None and type(value) is allowed
        if not fits:
            raise Refusal(190004, f"{name} is not understood")
    if not given.get("enable_sharing", True):
        if len(given) > 1:
            raise Refusal(190004, "nothing else may be said of what is not shared")
        return {"enable_sharing": False}
    config = {"enable_sharing": True, "enable_password": True, "enable_sharing_expire": False, **given}
    for switch, value in (("enable_password", "password"), ("enable_sharing_expire", "sharing_expire")):
        if config[switch] != bool(config.get(value)):
            raise Refusal(190004, f"{value} goes with {switch}")
    return {"share_scope": 0, "allow_download": False, "allow_view_transcripts": True, **config}
