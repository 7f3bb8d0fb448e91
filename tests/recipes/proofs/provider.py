"""A provider answers for the numbers that lead to it, beside another one; settings refuse it half set."""

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pydantic import ValidationError
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.meetings import assembly
from services.platform.clock import SystemClock
from services.platform.data.database import Database
from tests import templates
from tests.meetings.test_providers import settings

MEETING = """code,subject,creator,start,end
712345678,电话会议,li,2025-07-08T10:00+08:00,2025-07-08T11:00+08:00
"""


async def test_it_answers(tmp_path: Path) -> None:
    """What is not in its file is not found; who came is unknown, and not nobody."""
    (tmp_path / "meetings.csv").write_text(MEETING, encoding="utf-8")
    database = Database(templates.on_sqlite(tmp_path / "meetings.db", "services.meetings"))
    told: Any = AsyncMock(first_entry=AsyncMock(return_value=None))
    options = settings("simulated, bridge:7", bridge_file=tmp_path / "meetings.csv")
    made = assembly.build(options, database, SystemClock(), told)

    async def look_up(code: str, account: str) -> Any:
        asked = api.LookUpMeetingRequest(meeting_code=code, account_id=account)
        return await made.gateway.look_up(asked, account)

    found = await look_up("712-345-678", "li")
    assert (found.outcome, found.meeting.provider) == (api.LOOK_UP_OUTCOME_FOUND, "bridge")
    assert (await look_up("712345678", "wang")).outcome == api.LOOK_UP_OUTCOME_ANOTHERS
    assert (await look_up("712345679", "li")).outcome == api.LOOK_UP_OUTCOME_NOT_FOUND
    came = await made.gateway.participants(
        api.ListParticipantsRequest(meeting={"provider": "bridge", "meeting_id": "712345678"})
    )
    assert (came.knowledge, came.unknown_reason) == (pb.KNOWLEDGE_UNKNOWN, "NOT_PERMITTED")
    await made.close()
    database.close()


def test_it_is_refused_without_its_file() -> None:
    with pytest.raises(ValidationError, match="set YUNHUI_BRIDGE_FILE"):
        settings("bridge")
