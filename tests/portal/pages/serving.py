"""The portal that `yunhui up` runs, and people who sign in there at the development issuer."""

import re
from dataclasses import dataclass, field
from html import unescape

import httpx2

from tests.patience import PATIENCE_SECONDS
from tests.system.stack import Stack

COOKIE = "yunhui"


@dataclass
class Portal:
    stack: Stack
    _sessions: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.stack.run["portal"])

    def sign_in(self, name: str, role: str = "booker", shown: str = "") -> str:
        """The value of the session's cookie."""
        key = (name, role, shown)
        if key not in self._sessions:
            self._sessions[key] = self._sign_in({"account": name, "role": role, "name": shown or name})
        return self._sessions[key]

    def _sign_in(self, person: dict[str, str]) -> str:
        with httpx2.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
            choice = browser.get(f"{self.address}/settings").text
            hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', choice)
            fields = {name: unescape(value) for name, value in hidden}
            page = browser.post(f"{self.stack.run['issuer_address']}/authorize", data=fields | person)
            assert page.status_code == 200, page.text
            return browser.cookies[COOKIE]
