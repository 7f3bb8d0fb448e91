"""Meetings of an organization to be looked at: one that runs, with people in it, one that is over, and some to come."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx2

from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.desk import Desk
from tests.portal.pages.hall import Hall, addresses, inside, once, order, press
from tests.portal.pages.serving import Portal
from tests.system.stack import Person, Said, Stack

INSIDE = (
    ("li.wei", "李伟", "mac", "camera", "share"),
    ("wang.fang", "王芳", "pc", "camera"),
    ("zhao.min", "赵敏", "android"),
    ("anna.meyer", "Anna Meyer", "linux", "camera"),
    ("chen.jie", "陈洁", "ios"),
    ("konstantinopolsky", "Alexander Konstantinopolsky-Featherstonehaugh", "web"),
)
"""Who is inside: account, name, device, and what they turn on."""
WAITING = (("xu.li", "许丽"), ("zhou.yan", "周燕"))


@dataclass(frozen=True, slots=True)
class MeetingStage:
    """Addresses of the console's page of each meeting."""

    running: str
    ended: str
    coming: str

    @property
    def console(self) -> Mapping[str, str]:
        """Pages of whoever steers meetings, by name."""
        query = self.running.partition("?")[2]
        return {
            "meetings": "/console/meetings",
            "meetings-coming": "/console/meetings?phase=coming&ahead=week",
            "meetings-ended": "/console/meetings?phase=ended",
            "meeting-running": self.running,
            "meeting-so-far": f"{self.running}&history=1",
            "meeting-coming": self.coming,
            "meeting-ended": self.ended,
            "meeting-end": f"/console/meeting/end?{query}",
            "meeting-invite": f"/console/meeting/invite?{query}",
        }

    @property
    def mine(self) -> Mapping[str, str]:
        """Pages of whoever made them."""
        return {
            "my-meetings": "/meetings",
            "my-meetings-running": "/meetings?phase=running",
            "my-meetings-ended": "/meetings?phase=ended",
            "my-meeting": self.ended.replace("/console/meeting", "/meetings/meeting"),
        }


def play(person: Person, *words: str) -> Said:
    said = person.yunhui("simulate", *words)
    assert said.code == 0, said.out + said.err
    return said


def make(host: Person, subject: str, start: str, minutes: int) -> tuple[str, str]:
    """The number, and the address of its page in the console."""
    made = play(host, "meeting", "--subject", subject, "--start", start, "--minutes", str(minutes))
    meeting = json.loads(made.out)["meeting"]
    query = urlencode({"provider": meeting["provider"], "id": meeting["meetingId"]})
    return str(meeting["meetingCode"]), f"/console/meeting?{query}"


def stage(
    stack: Stack,
    begun: str = "2025-07-07 09:30",
    later: str = "2025-07-07 18:30",
    host: str = "li.wei",
) -> MeetingStage:
    """`begun`: when those that run or ran are planned from, for two hours; `later`: that to come."""
    person = stack.login("booker", host)
    over, ended = make(person, "组会：探测器标定", begun, 120)
    for account, name in (("wang.fang", "王芳"), ("anna.meyer", "Anna Meyer"), ("chen.jie", "陈洁")):
        play(stack.login("booker", account), "enter", over, "--name", name)
    play(stack.login("booker", "anna.meyer"), "connection", over, "bad")
    play(stack.login("booker", "chen.jie"), "leave", over)
    code, running = make(person, "Sino-German workshop: detector calibration", begun, 120)
    for account, name, device, *turned in INSIDE:
        somebody = stack.login("booker", account)
        play(somebody, "enter", code, "--name", name, "--device", device)
        for what in turned:
            play(somebody, what, code, "on")
    play(stack.login("booker", host), "enter", code, "--guest", "Guest of the institute")
    for account, name in WAITING:
        play(stack.login("booker", account), "wait", code, "--name", name)
    planned, coming = make(person, "Graduate seminar: sparse attention, second part", later, 60)
    play(person, "move", planned, "--start", later)
    with httpx2.Client(base_url=Portal(stack).address, timeout=PATIENCE_SECONDS) as client:
        desk = Desk(Portal(stack), client)
        once(desk, running, lambda text: len(inside(text)) > len(INSIDE))
        hall = Hall(stack, code, running)
        press(desk, hall, "陈洁", "mute", reason="noise")
        order(desk, hall, "settings", may_share="off")
        once(desk, f"{ended}&history=1", lambda text: "Disturbed" in text)
        play(person, "end", over)
        once(desk, ended, lambda text: 'class="stay"' in text)
        once(desk, "/console/meetings?phase=coming", lambda text: coming in addresses(text).values())
    return MeetingStage(running, ended, coming)
