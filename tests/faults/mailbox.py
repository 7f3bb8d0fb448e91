"""A mail server that notes what it takes and when, and how often it took the same message."""

import time
from collections import Counter
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.servers import MailSink


class Mailbox(MailSink):
    """`received` are (message id, monotonic seconds), in order."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[str, float]] = []

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        answer = await super().handle_DATA(server, session, envelope)
        if answer.startswith("250"):
            self.received.append((str(self.taken[-1]["Message-ID"]), time.monotonic()))
        return answer

    def repeated(self) -> dict[str, list[float]]:
        """When the messages that came more than once came."""
        often = {name for name, number in Counter(name for name, _ in self.received).items() if number > 1}
        return {name: [moment for other, moment in self.received if other == name] for name in often}
