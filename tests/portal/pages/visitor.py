"""Somebody with a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

from tests.needs import CHROMIUM
from tests.portal.pages.serving import COOKIE, Portal


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Raises playwright's Error when it is not installed."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM.found or None, args=["--no-sandbox"])
    yield browser
    browser.close()


class Visitor:
    """Opens pages as one person or several, and keeps what the browser complained about."""

    def __init__(self, portal: Portal, browser: Browser) -> None:
        self._portal = portal
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(
        self,
        name: str,
        role: str = "booker",
        *,
        shown: str = "",
        language: str = "zh-CN",
        theme: str = "light",
        width: int = 1280,
        **options: Any,
    ) -> Page:
        """Signed in, unless `name` is ""; `options` are those of a browser's context."""
        size: Any = {"width": width, "height": 900}
        options = {"locale": "zh-CN", **options}
        context = self._browser.new_context(base_url=self._portal.address, viewport=size, **options)
        self._contexts.append(context)
        cookies = {"language": language, "theme": theme}
        if name:
            cookies[COOKIE] = self._portal.sign_in(name, role, shown)
        for key, value in cookies.items():
            context.add_cookies([{"name": key, "value": value, "url": self._portal.address}])
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        return page

    def _note(self, message: ConsoleMessage) -> None:
        """A status of 4xx or 5xx is an answer, and no complaint."""
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def close(self) -> None:
        for context in self._contexts:
            context.close()
