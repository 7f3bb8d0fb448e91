"""Recordings of simulated meetings: rows, which take a while to be ready, and addresses that lead nowhere."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from services.meetings import simulated_rows as rows
from services.meetings.models import SimulatedMeeting
from services.meetings.provider import NotPermittedError, WrongStateError
from services.meetings.recording_models import SimulatedRecording, SimulatedRecordingFile
from services.meetings.recordings import (
    Audience,
    FileLinks,
    NoSuchRecordingError,
    Recording,
    RecordingFile,
    RecordingKey,
    RecordingLinks,
    RecordingPage,
    RecordingQuery,
    RecordingState,
    Sharing,
)
from services.meetings.simulated_rows import Sitting
from services.platform.clock import HOUR, MINUTE, Clock
from services.platform.data.database import Database
from services.platform.data.rows import open_session

T = TypeVar("T")

PAGE = 20
TRANSCODING = 2 * MINUTE
"""From the end of the last file until all can be played."""
LINKS_LAST = 6 * HOUR
BYTES_A_SECOND = 120_000
ADDRESS = "https://recordings.example.invalid"


def begin(session: Session, sitting: Sitting, now: int) -> None:
    """Recording twice is recording once."""
    found = _of_sitting(session, sitting)
    if found is None:
        found = SimulatedRecording(meeting_id=rows.id_of(sitting.meeting), occurrence=sitting.number, start_time=now)
        session.add(found)
        session.flush()
    if not [each for each in _files(session, found) if each.end_time is None]:
        session.add(SimulatedRecordingFile(recording_id=_id_of(found), start_time=now))
        session.flush()


def stop(session: Session, sitting: Sitting, now: int) -> bool:
    """Whether it was being recorded."""
    found = _of_sitting(session, sitting)
    running = [each for each in _files(session, found) if each.end_time is None] if found else []
    for each in running:
        each.end_time = now
        session.add(each)
    return bool(running)


class SimulatedRecordings:
    """The provider's. Whoever made the meeting may do everything to what was recorded in it, and so may ""."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def recordings(self, query: RecordingQuery, page: int) -> RecordingPage:
        """The newest first."""
        return await self._read(lambda session: self._page(session, query, page))

    async def recording(self, key: RecordingKey, creator: str) -> Recording:
        return await self._read(lambda session: self._told(session, *_found(session, key, creator)))

    async def sharing(self, key: RecordingKey, creator: str) -> Sharing:
        def work(session: Session) -> Sharing:
            row, _ = _found(session, key, creator)
            return Sharing(Audience(row.audience), bool(row.password), row.expire_time, row.may_download)

        return await self._read(work)

    async def recording_links(self, key: RecordingKey, creator: str) -> RecordingLinks:
        expire_time = self._clock.now() + LINKS_LAST

        def work(session: Session) -> RecordingLinks:
            row, meeting = _found(session, key, creator)
            if self._told(session, row, meeting).state != RecordingState.READY:
                raise WrongStateError("its files are not ready")
            files = tuple(_links(each, expire_time) for each in _files(session, row))
            shared = row.audience != Audience.NOBODY
            return RecordingLinks(files, f"{ADDRESS}/shared/{row.id}" if shared else "", row.password if shared else "")

        return await self._read(work)

    async def share_recording(self, key: RecordingKey, sharing: Sharing, password: str, creator: str) -> None:
        def work(session: Session) -> None:
            row, _ = _found(session, key, creator)
            shared = sharing.audience != Audience.NOBODY
            row.audience, row.password = sharing.audience, password if shared else ""
            row.expire_time = sharing.expire_time if shared else None
            row.may_download = sharing.may_download and shared
            session.add(row)

        await self._write(work)

    async def delete_recording(self, key: RecordingKey, file_id: str, creator: str) -> None:
        def work(session: Session) -> None:
            row, _ = _found(session, key, creator)
            files = _files(session, row)
            chosen = [each for each in files if file_id in ("", str(each.id))]
            if not chosen:
                raise NoSuchRecordingError("it has no such file")
            if any(each.end_time is None for each in files):
                raise WrongStateError("it is being recorded")
            for each in chosen:
                session.delete(each)
            session.flush()
            if len(chosen) == len(files):
                session.delete(row)

        await self._write(work)

    def _page(self, session: Session, query: RecordingQuery, page: int) -> RecordingPage:
        wanted = [SimulatedRecording.start_time >= query.since, SimulatedRecording.start_time < query.until]
        if query.creator:
            wanted.append(SimulatedMeeting.creator == query.creator)
        if query.meeting_id:
            number = int(query.meeting_id) if query.meeting_id.isascii() and query.meeting_id.isdigit() else 0
            wanted.append(SimulatedRecording.meeting_id == min(number, 2**62))
        elif query.meeting_code:
            wanted.append(SimulatedMeeting.meeting_code == query.meeting_code)
        joined = col(SimulatedRecording.meeting_id) == col(SimulatedMeeting.id)
        listed: Any = select(SimulatedRecording, SimulatedMeeting).join(SimulatedMeeting, joined).where(*wanted)
        total = session.execute(sa.select(sa.func.count()).select_from(listed.subquery())).scalar_one()
        place = (col(SimulatedRecording.start_time).desc(), col(SimulatedRecording.id).desc())
        found = session.exec(listed.order_by(*place).offset((page - 1) * PAGE).limit(PAGE)).all()
        told = tuple(self._told(session, row, meeting) for row, meeting in found)
        return RecordingPage(told, page + 1 if page * PAGE < total else 0, total)

    def _told(self, session: Session, row: SimulatedRecording, meeting: SimulatedMeeting) -> Recording:
        files = _files(session, row)
        state = self._state(files)
        ready = files if state == RecordingState.READY else []
        return Recording(
            RecordingKey(rows.NAME, str(meeting.id), str(row.id), row.start_time),
            state,
            meeting.meeting_code,
            meeting.subject,
            meeting.creator,
            tuple(_file(each) for each in ready),
            str(row.occurrence or ""),
        )

    def _state(self, files: Sequence[SimulatedRecordingFile]) -> RecordingState:
        ends = [each.end_time for each in files if each.end_time is not None]
        if len(ends) < len(files):
            return RecordingState.RECORDING
        ready = self._clock.now() >= max(ends, default=0) + TRANSCODING
        return RecordingState.READY if ready else RecordingState.TRANSCODING

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await self._database.read(lambda connection: _within(connection, work))

    async def _write(self, work: Callable[[Session], T]) -> T:
        return await self._database.write(lambda connection: _within(connection, work))


def _within(connection: Connection, work: Callable[[Session], T]) -> T:
    with open_session(connection) as session:
        return work(session)


def _of_sitting(session: Session, sitting: Sitting) -> SimulatedRecording | None:
    """There is at most one."""
    of_it = select(SimulatedRecording).where(
        SimulatedRecording.meeting_id == sitting.meeting.id, SimulatedRecording.occurrence == sitting.number
    )
    return session.exec(of_it).first()


def _found(session: Session, key: RecordingKey, creator: str) -> tuple[SimulatedRecording, SimulatedMeeting]:
    """Raises NoSuchRecordingError, NotPermittedError."""
    known = key.recording_id.isascii() and key.recording_id.isdigit() and len(key.recording_id) < 18
    row = session.get(SimulatedRecording, int(key.recording_id)) if known else None
    if row is None or str(row.meeting_id) != key.meeting_id or row.start_time != key.start_time:
        raise NoSuchRecordingError("nothing was recorded with this id")
    meeting = rows.by_id(session, key.meeting_id)
    if creator not in ("", meeting.creator):
        raise NotPermittedError("only who made the meeting may do this")
    return row, meeting


def _files(session: Session, row: SimulatedRecording) -> list[SimulatedRecordingFile]:
    """The first one first."""
    of_it = select(SimulatedRecordingFile).where(SimulatedRecordingFile.recording_id == row.id)
    return list(session.exec(of_it.order_by(col(SimulatedRecordingFile.id))))


def _id_of(row: SimulatedRecording) -> int:
    """Any that is stored has one."""
    return row.id or 0


def _file(each: SimulatedRecordingFile) -> RecordingFile:
    seconds = ((each.end_time or each.start_time) - each.start_time) // 1000
    return RecordingFile(str(each.id), each.start_time, each.end_time, seconds * BYTES_A_SECOND)


def _links(each: SimulatedRecordingFile, expire_time: int) -> FileLinks:
    """As the original's: another address each time."""
    ticket = secrets.token_urlsafe(16)
    play, download, audio = (f"{ADDRESS}/{what}/{each.id}?ticket={ticket}" for what in ("play", "download", "audio"))
    return FileLinks(str(each.id), play, download, audio, expire_time)
