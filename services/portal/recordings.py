"""One recording on pages: what is known of it, where it can be seen, who may see it, and its deletion.

The same for whoever looks after all recordings and for those who look at their own: only the place differs.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.platform.text.messages import Text, message
from services.portal.calls import ask, read, services_of, text_of
from services.portal.console.forms import ConsoleForm, Endpoint, FormRefusal, attempt, for_permitted, refused, typed
from services.portal.console.meeting_acts import LONGEST_REASON, PATIENCE_SECONDS, nonce, nonce_in, patiently
from services.portal.rendering import reader_of, render
from services.portal.tables import LONGEST_TOKEN
from services.portal.texts import RECORDING_STATES
from services.portal.times import Reader, stamp_of

LONGEST_ID = 300
NEWLY_CHOSEN = {
    "nobody": pb.RECORDING_AUDIENCE_NOBODY,
    "participants": pb.RECORDING_AUDIENCE_PARTICIPANTS,
    "organization": pb.RECORDING_AUDIENCE_ORGANIZATION,
    "anybody": pb.RECORDING_AUDIENCE_ANYBODY,
}
"""As the form says them."""
NOT_A_DAY = message("Choose a day.")
UNITS = ("kB", "MB", "GB", "TB")
_SECRET = secrets.token_bytes(32)
"""So that from the id of a request nobody can find out the password that was in it."""


@dataclass(frozen=True, slots=True)
class RecordingPlace:
    """`path` is that of one, with ?id=, and below it what is done with it; `listed` that of the list."""

    path: str
    listed: str
    label: Text
    permission: str
    deep: bool = False
    """Whether its pages say where they are by themselves."""

    def of(self, recording_id: str, act: str = "", **query: str) -> str:
        return f"{self.path}{act and f'/{act}'}?{urlencode({'id': recording_id, **query})}"


def of_meeting(listed: str, key: MeetingKey) -> str:
    """The list of what was recorded in one meeting."""
    parts = [each for each in (key.provider, key.meeting_id, key.sub_meeting_id) if each]
    return f"{listed}?{urlencode({'meeting': '/'.join(parts)})}"


def meeting_in(text: str) -> MeetingKey | None:
    """As `of_meeting` says it; None for what says none."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        return None
    return MeetingKey(provider=parts[0], meeting_id=parts[1], sub_meeting_id="".join(parts[2:]))


def size_of(each: pb.Recording) -> str:
    """Of all files; "" as long as that is not known."""
    return show_size(sum(file.size_bytes for file in each.files))


def show_size(size: int) -> str:
    if size <= 0:
        return ""
    figure, unit = size / 1000, 0
    while figure >= 1000 and unit < len(UNITS) - 1:
        figure, unit = figure / 1000, unit + 1
    return f"{figure:.1f} {UNITS[unit]}"


def state_of(each: pb.Recording) -> Text | str:
    return RECORDING_STATES.get(each.state, "")


def safe(address: str) -> str:
    """What a browser may be led to; "" for all else that a provider might say."""
    return address if address.startswith(("https://", "http://")) else ""


def id_in(request: Request) -> str:
    return request.query_params.get("id", "")[:LONGEST_ID]


async def get(request: Request) -> api.GetRecordingResponse:
    """The one of the address. Raises grpc.aio.AioRpcError."""
    return await ask(
        request, services_of(request).recordings.GetRecording, api.GetRecordingRequest(recording_id=id_in(request))
    )


@dataclass(frozen=True, slots=True)
class RecordingPages:
    """Its pages at one place."""

    place: RecordingPlace

    @property
    def pages(self) -> list[tuple[str, Endpoint, str]]:
        made: list[tuple[str, Endpoint, str]] = [
            (self.place.path, self.show, "GET"),
            (f"{self.place.path}/links", self.show_links, "GET"),
            (f"{self.place.path}/sharing", self.ask_sharing, "GET"),
            (f"{self.place.path}/sharing", self.share, "POST"),
            (f"{self.place.path}/delete", self.ask_delete, "GET"),
            (f"{self.place.path}/delete", self.delete, "POST"),
        ]
        return [(path, for_permitted(self.place.permission, endpoint), method) for path, endpoint, method in made]

    async def show(self, request: Request) -> Response:
        answer = await get(request)
        done = request.query_params.get("done", "")
        return self._render(
            request,
            "recording.html",
            answer,
            acts=answer.acts,
            told=[each for each in answer.acts if done and each.act_id == done],
        )

    async def show_links(self, request: Request) -> Response:
        """Asked for anew each time that the page is."""
        answer = await get(request)
        question = api.GetRecordingLinksRequest(recording_id=answer.recording.recording_id)
        try:
            links = await ask(request, services_of(request).recordings.GetRecordingLinks, question)
        except grpc.aio.AioRpcError as error:
            if read(error).reason not in ("RECORDING_NOT_READY", "RECORDING_DELETED"):
                raise
            links = None
        files = {each.file_id: each for each in links.files} if links else {}
        return self._render(request, "recording_links.html", answer, links=links, files=files, safe=safe)

    async def ask_sharing(self, request: Request) -> Response:
        answer = await get(request)
        sharing = answer.recording.sharing
        chosen = next((name for name, value in NEWLY_CHOSEN.items() if value == sharing.audience), "nobody")
        until = f"{_last_day(sharing.expire_time, reader_of(request))}" if sharing.HasField("expire_time") else ""
        values = {"audience": chosen, "until": until, "may_download": "on" if sharing.may_download else ""}
        return self._sharing(request, answer, ConsoleForm(values))

    def _sharing(self, request: Request, answer: api.GetRecordingResponse, form: ConsoleForm) -> Response:
        return self._render(
            request, "recording_sharing.html", answer, form.status, form=form, choices=NEWLY_CHOSEN, nonce=nonce()
        )

    async def share(self, request: Request) -> Response:
        form = await request.form()
        values = typed(form, "audience", "password", "until", "may_download", "reason")
        try:
            sharing = _sharing_in(values, reader_of(request))
        except ValueError:
            fault = refused(NOT_A_DAY.to(reader_of(request).language), "until")
            return self._sharing(request, await get(request), ConsoleForm(values, refusal=fault))
        question = api.SetRecordingSharingRequest(
            recording_id=id_in(request), sharing=sharing, password=values["password"]
        )
        fields = {"audience": "audience", "password": "password", "expire_time": "until", "reason": "reason"}
        answer = await self._do(request, form, "SetRecordingSharing", question, fields)
        if isinstance(answer, FormRefusal):
            return self._sharing(request, await get(request), ConsoleForm(values, refusal=answer))
        return answer

    async def ask_delete(self, request: Request) -> Response:
        return self._deletion(request, await get(request), ConsoleForm())

    def _deletion(self, request: Request, answer: api.GetRecordingResponse, form: ConsoleForm) -> Response:
        wanted = request.query_params.get("file", "")
        one = next((each for each in answer.recording.files if each.file_id == wanted), None)
        return self._render(
            request,
            "recording_delete.html",
            answer,
            form.status,
            form=form,
            file=one,
            nonce=nonce(),
            longest=LONGEST_REASON,
        )

    async def delete(self, request: Request) -> Response:
        form = await request.form()
        question = api.DeleteRecordingRequest(recording_id=id_in(request), file_id=text_of(form, "file", LONGEST_ID))
        answer = await self._do(request, form, "DeleteRecording", question, {"reason": "reason"})
        if isinstance(answer, FormRefusal):
            return self._deletion(request, await get(request), ConsoleForm(typed(form, "reason"), refusal=answer))
        return answer

    async def _do(
        self, request: Request, form: Any, method: str, question: Any, fields: Mapping[str, str]
    ) -> Response | FormRefusal:
        """Once: the same form with the same content is one request. Raises grpc.aio.AioRpcError."""
        question.reason = text_of(form, "reason", LONGEST_REASON)
        body = hmac.new(_SECRET, question.SerializeToString(deterministic=True), hashlib.sha256).hexdigest()[:16]
        question.request_id = f"{nonce_in(form)}-{body}"

        async def once(asked: Any, **more: Any) -> Any:
            return await getattr(services_of(request).recordings, method)(asked, **more)

        answer: Any = await patiently(lambda: attempt(request, once, question, fields, PATIENCE_SECONDS))
        if isinstance(answer, FormRefusal):
            return answer
        return RedirectResponse(self.place.of(question.recording_id, done=answer.act.act_id), 303)

    def _render(
        self, request: Request, template: str, answer: api.GetRecordingResponse, status: int = 200, **values: Any
    ) -> Response:
        recording = answer.recording
        here = [(recording.subject or "–", self.place.of(recording.recording_id))]
        return render(
            request,
            template,
            status,
            recording=recording,
            may_manage=answer.may_manage and recording.state != pb.RECORDING_STATE_DELETED,
            place=self.place,
            to=lambda act="", **query: self.place.of(recording.recording_id, act, **query),
            show_size=show_size,
            size=size_of(recording),
            trail=here if self.place.deep else [],
            **values,
        )


def _sharing_in(values: Mapping[str, str], reader: Reader) -> pb.RecordingSharing:
    """What is not chosen is nobody's. Until the end of the day. Raises ValueError for a day that is none."""
    audience = NEWLY_CHOSEN.get(values["audience"], pb.RECORDING_AUDIENCE_NOBODY)
    until = None
    if values["until"]:
        until = stamp_of(
            datetime.combine(date.fromisoformat(values["until"]) + timedelta(days=1), time(0), reader.zone)
        )
    return pb.RecordingSharing(audience=audience, expire_time=until, may_download=values["may_download"] == "on")


def _last_day(expire_time: Timestamp, reader: Reader) -> date:
    """At whose end it expires."""
    return (reader.local(expire_time) - timedelta(seconds=1)).date()


def listed_window(request: Request, span: timedelta) -> Timestamp:
    """Where a list of so long a time until now begins: at a full hour, so that the same list is the same question."""
    begin = reader_of(request).now - span
    return stamp_of(begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))


def token_in(request: Request) -> str:
    return request.query_params.get("page", "")[:LONGEST_TOKEN]
