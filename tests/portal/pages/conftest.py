"""One installation, one portal and one browser for the tests of one file, which may move its clock."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.needs import CHROMIUM
from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.desk import Desk
from tests.portal.pages.serving import Portal
from tests.portal.pages.visitor import Visitor, chromium
from tests.system.stack import MONDAY, Stack

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("portal"))
    running.start("--clock", MONDAY)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def portal(stack: Stack) -> Portal:
    return Portal(stack)


@pytest.fixture(scope="module")  # Playwright has an event loop running, which asynchronous tests cannot be beside
def browser() -> Iterator[Browser]:
    CHROMIUM.require()
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def visitor(portal: Portal, browser: Browser) -> Iterator[Visitor]:
    """Opens pages; at the end no script may have failed, and nothing may have been blocked."""
    opened = Visitor(portal, browser)
    yield opened
    opened.close()
    assert opened.complaints == []


@pytest.fixture
def client(portal: Portal) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=portal.address, timeout=PATIENCE_SECONDS) as opened:
        yield opened


@pytest.fixture
def desk(stack: Stack, portal: Portal, client: httpx2.Client) -> Desk:
    return Desk(portal, client)
