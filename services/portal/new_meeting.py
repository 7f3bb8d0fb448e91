"""What is typed of a meeting that is made with its reservation, beside what every booking says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yunhui.meetings.v1.meeting_pb2 import MeetingOptions

from services.platform.text.messages import Text, message
from services.portal.calls import text_of
from services.portal.times import ZONES, Reader

MOST_INVITEES, MOST_HOSTS = 300, 10
SWITCHES: Mapping[str, Text] = {
    "waiting_room": message("Whoever enters waits to be admitted"),
    "enter_before_host": message("People can enter before any host does"),
    "organization_only": message("Only people of the organization may enter"),
    "mute_on_entry": message("Muted as they enter"),
    "watermark": message("Everybody's name is drawn over what is shared"),
}
FIELDS: Mapping[str, str] = {
    "invitee_account_ids": "invitees",
    "host_account_ids": "hosts",
    "password": "password",
    "time_zone": "time_zone",
}
"""Of the form, by the service's names for them."""
_PASSWORD = re.compile(r"\d{4,6}", re.ASCII)
_BETWEEN = re.compile(r"[\s,;，；、]+")


@dataclass(frozen=True, slots=True)
class ChosenPeople:
    """Accounts: those chosen among people who were found, and what was typed; `query` looks for others."""

    chosen: tuple[str, ...] = ()
    typed: str = ""
    query: str = ""

    @property
    def account_ids(self) -> list[str]:
        """Each once."""
        return _once((*self.chosen, *_BETWEEN.split(self.typed)))


@dataclass(frozen=True, slots=True)
class NewMeeting:
    """As it is to be."""

    time_zone: str
    invitees: ChosenPeople = field(default_factory=ChosenPeople)
    hosts: ChosenPeople = field(default_factory=ChosenPeople)
    password: str = field(default="", repr=False)
    switches: frozenset[str] = frozenset()

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What another form carries along."""
        texts = {
            "time_zone": self.time_zone,
            "password": self.password,
            "invitees": self.invitees.typed,
            "hosts": self.hosts.typed,
        }
        return [
            *texts.items(),
            *(("invitee", each) for each in self.invitees.chosen),
            *(("host", each) for each in self.hosts.chosen),
            *((each, "1") for each in sorted(self.switches)),
        ]

    @property
    def touched(self) -> bool:
        """Whether there is more to see than what stands there anyway."""
        people = (self.invitees, self.hosts)
        return bool(self.password or self.switches or any(each != ChosenPeople() for each in people))

    def options(self, *, with_password: bool = True) -> MeetingOptions:
        return MeetingOptions(
            time_zone=self.time_zone,
            invitee_account_ids=self.invitees.account_ids,
            host_account_ids=self.hosts.account_ids,
            password=self.password if with_password else "",
            **dict.fromkeys(self.switches, True),
        )


def read_new(form: Any, reader: Reader) -> NewMeeting:
    zone = text_of(form, "time_zone", 40)
    return NewMeeting(
        time_zone=zone if zone in ZONES else reader.zone.key,
        invitees=_people(form, "invitee"),
        hosts=_people(form, "host"),
        password=text_of(form, "password", 20),
        switches=frozenset(each for each in SWITCHES if text_of(form, each)),
    )


def faults(new: NewMeeting) -> dict[str, Text]:
    """What is wrong, by field. Whether the accounts exist the services say."""
    found: dict[str, Text] = {}
    if new.password and not _PASSWORD.fullmatch(new.password):
        found["password"] = message("The password is 4 to 6 digits, or nothing.")
    if len(new.invitees.account_ids) > MOST_INVITEES:
        found["invitees"] = message(
            "At most 300 people can be invited: invite fewer, and send the others the invitation."
        )
    if len(new.hosts.account_ids) > MOST_HOSTS:
        found["hosts"] = message("At most 10 people can lead the meeting beside you.")
    return found


def field_of(place: str) -> str:
    """The form's name for what a service calls `new_meeting.…`; "" for what has no field of its own."""
    return FIELDS.get(place.rpartition("new_meeting.")[2].partition("[")[0], "")


def _people(form: Any, name: str) -> ChosenPeople:
    """`form`: of a page, or of an address."""
    chosen = form.getlist(name) if hasattr(form, "getlist") else []
    return ChosenPeople(
        tuple(_once(each for each in chosen if isinstance(each, str))),
        _lines(form, f"{name}s"),
        text_of(form, f"find_{name}", 100),
    )


def _lines(form: Any, name: str) -> str:
    """As it was typed, line by line."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each for each in ids if each))
