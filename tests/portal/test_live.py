"""Streams of events stay open: so many for one person."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from services.portal import live
from tests.portal.served import Browser
from tests.servers import until

WATCHING = "event: watching"


async def opened(stack: AsyncExitStack, browser: Browser) -> str:
    """What a stream that stays open says first, or all that another says."""
    said = ""
    answer = await stack.enter_async_context(browser.client.stream("GET", f"{browser.portal}/live"))
    parts: Any = answer.aiter_text()
    stack.push_async_callback(parts.aclose)  # whoever forgets it hangs up
    while WATCHING not in said and (part := await anext(parts, "")):
        said += part
    return said


async def test_one_person_has_so_many_windows(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next asks again in a minute, and gets in when one was closed; others are not concerned."""
    monkeypatch.setattr(live, "MOST_OF_ONE", 3)
    await browser.sign_in("ann")
    other = Browser(browser.portal)
    await other.sign_in("bob")
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as first:
            assert WATCHING in await opened(first, browser)
            assert [WATCHING in await opened(stack, browser) for _ in range(2)] == [True] * 2
            assert await opened(stack, browser) == live.LATER
            assert WATCHING in await opened(stack, other)

        async def let_in() -> bool:
            return WATCHING in await opened(stack, browser)

        await until(let_in)


async def test_all_together_leave_room_for_those_who_ask_and_go(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_AT_ONCE", 2)
    other = Browser(browser.portal)
    await browser.sign_in("ann")
    await other.sign_in("bob")
    async with AsyncExitStack() as stack:
        assert [WATCHING in await opened(stack, browser) for _ in range(2)] == [True] * 2
        assert await opened(stack, other) == live.LATER
        assert (await other.client.get(f"{other.portal}/page")).status_code == 200
