"""Parts of the gateway as tests want them: quick, and against the stand-in."""

from collections.abc import Callable

from pydantic import SecretStr

from services.meetings.provider import MeetingKey
from services.meetings.tencent import tencent
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.client import TencentClient, Timing
from services.meetings.tencent.signature import Credentials
from services.meetings.tencent.tencent import Tencent
from services.platform.clock import SystemClock
from services.standin.request_checks import Application

HOUR = 3600
QUICK = Timing(connect=0.5, read=0.25, whole=1.0, all_pages=2.0, pauses=(0.01, 0.02))
PATIENT = Timing(connect=30, read=60, whole=120, all_pages=240, pauses=(0.01, 0.02))
"""For what must be answered, however slow the machine is."""
DEFAULT = Application()


def credentials(application: Application = DEFAULT) -> Credentials:
    key = SecretStr(application.secret_key)
    return Credentials(application.app_id, application.sdk_id, application.secret_id, key)


def provider(
    address: str,
    application: Application = DEFAULT,
    timing: Timing = QUICK,
    calls_a_minute: int = 30_000,
    pattern: str = "{account}",
) -> tuple[Tencent, TencentClient]:
    return tencent.create(
        address, credentials(application), Accounts(pattern), "admin", SystemClock(), timing, calls_a_minute
    )


def key(meeting_id: str, sub_meeting_id: str = "") -> MeetingKey:
    return MeetingKey("tencent", meeting_id, sub_meeting_id)


class HandClock:
    """Epoch seconds for buckets, milliseconds for services: moved by hand."""

    patience = 1.0

    def __init__(self, time: int = 1_751_846_400_000) -> None:
        self.time = time

    def now(self) -> int:
        return self.time

    def seconds(self) -> Callable[[], float]:
        return lambda: self.time / 1000
