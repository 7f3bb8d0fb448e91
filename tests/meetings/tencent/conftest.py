"""Providers that wait for an answer, and one that does not; and a meeting that runs."""

import time
from collections.abc import AsyncIterator

import pytest

from services.meetings.tencent.client import Timing
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, provider

HASTY = Timing(connect=5, read=1, whole=3, all_pages=5, pauses=(0.01, 0.02))
ANDROID = 3


@pytest.fixture
async def patient(standin: Standin) -> AsyncIterator[Tencent]:
    """However slow the machine is."""
    made, client = provider(standin.address, timing=PATIENT)
    yield made
    await client.close()


@pytest.fixture
async def hasty(standin: Standin) -> AsyncIterator[Tencent]:
    """Waits for no answer as long as the other side is made to keep it back."""
    made, client = provider(standin.address, timing=HASTY)
    yield made
    await client.close()


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    """li's, who is inside, and so is wang; zhao waits."""
    now = int(time.time())
    standin.cloud.users |= {"li", "wang", "zhao"}
    made = standin.cloud.create("li", now - 60, now + HOUR)
    standin.cloud.enter(made, "li")
    wang = standin.cloud.enter(made, "wang", instanceid=ANDROID)
    wang.microphone = wang.camera = wang.sharing = True
    standin.cloud.wait(made, "zhao")
    return made


@pytest.fixture
def wang(meeting: CloudMeeting) -> CloudVisit:
    return meeting.visits[1]


@pytest.fixture
def zhao(meeting: CloudMeeting) -> CloudWaiting:
    return meeting.waiting[0]
