"""Options of `yunhui reserve --make`: how the meeting is to be that is made with its reservation."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import typer
from yunhui.meetings.v1 import meeting_pb2

from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.platform.text.messages import message

PASSWORD_VARIABLE = "YUNHUI_MEETING_PASSWORD"  # noqa: S105 - its name

Make = Annotated[bool, typer.Option("--make", help=message("make the meeting, too: both come about, or neither"))]
Zone = Annotated[str, typer.Option(metavar="ZONE", help=message("with --make: its time zone, e.g. Asia/Shanghai"))]
Invite = Annotated[
    list[str] | None, typer.Option(metavar="ACCOUNT", help=message("with --make: invite this account; repeatable"))
]
Host = Annotated[
    list[str] | None, typer.Option(metavar="ACCOUNT", help=message("with --make: it may lead the meeting; repeatable"))
]
Password = Annotated[
    str,
    typer.Option(
        "--password",
        metavar="NUMBER",
        envvar=PASSWORD_VARIABLE,
        help=message("with --make: 4 to 6 digits; in the variable nobody sees them"),
    ),
]
WaitingRoom = Annotated[bool, typer.Option("--waiting-room", help=message("with --make: people wait to be let in"))]
BeforeHost = Annotated[bool, typer.Option("--before-host", help=message("with --make: people enter before any host"))]
OrganizationOnly = Annotated[
    bool, typer.Option("--organization-only", help=message("with --make: only people of the organization enter"))
]
Watermark = Annotated[bool, typer.Option("--watermark", help=message("with --make: names over what is shared"))]
Mute = Annotated[bool, typer.Option("--mute", help=message("with --make: everybody comes in muted"))]


@dataclass(frozen=True, slots=True)
class MakeOptions:
    """What was said about it."""

    zone: str
    invite: Sequence[str] | None
    host: Sequence[str] | None
    password: str
    waiting_room: bool
    before_host: bool
    organization_only: bool
    watermark: bool
    mute: bool

    def unused(self) -> None:
        """Nothing may have been said, for none is made. Raises CommandError."""
        for each in fields(self):
            if each.name != "password" and getattr(self, each.name):  # that may stand in the environment
                option = f"--{each.name.replace('_', '-')}"
                raise CommandError(FailureReason.ONLY_WITH_MAKE, ExitCode.USAGE, field=option, option=option)

    def to_proto(self) -> meeting_pb2.MeetingOptions:
        return meeting_pb2.MeetingOptions(
            time_zone=self.zone,
            invitee_account_ids=self.invite or [],
            host_account_ids=self.host or [],
            password=self.password,
            waiting_room=self.waiting_room,
            enter_before_host=self.before_host,
            organization_only=self.organization_only,
            watermark=self.watermark,
            mute_on_entry=self.mute,
        )
