"""Lists that come in numbered pages, and may change while they are read: all of them, or IncompleteError."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar

from services.meetings.provider import IncompleteError
from services.meetings.tencent.answers import NumberedPage
from services.meetings.tencent.errors import Endpoint

log = logging.getLogger(__name__)

MOST_PAGES = 100
READINGS = 3

R = TypeVar("R")


async def read_all(
    endpoint: Endpoint, ask: Callable[[int], Awaitable[NumberedPage[R]]], identity: Callable[[R], Hashable]
) -> list[R]:
    """Read again from the beginning when it changed meanwhile: what moves to a page read before would be lost.

    `identity` None: of this row it is not known whose it is. Raises IncompleteError.
    """
    for _ in range(READINGS):
        rows = await _read(endpoint, ask)
        if rows is not None and _differ(rows, identity):
            return rows
        log.info("%s: the list changed while it was read", endpoint)
    raise IncompleteError(f"{endpoint}: the list changes faster than it can be read")


async def _read(endpoint: Endpoint, ask: Callable[[int], Awaitable[NumberedPage[R]]]) -> list[R] | None:
    """None when its pages do not fit together."""
    rows: list[R] = []
    total: int | None = None
    for page in range(1, MOST_PAGES + 1):
        answer = await ask(page)
        if answer.current_page not in (0, page):
            raise IncompleteError(f"{endpoint}: another page was answered")
        if total not in (None, answer.total_count):
            return None
        total = answer.total_count
        rows += answer.rows
        if page >= answer.total_page:
            if page == 1 and len(rows) != total:
                raise IncompleteError(f"{endpoint}: the answer contradicts itself")
            return rows if len(rows) == total else None
    raise IncompleteError(f"{endpoint}: more than {MOST_PAGES} pages")


def _differ(rows: list[R], identity: Callable[[R], Hashable]) -> bool:
    known = [each for each in map(identity, rows) if each is not None]
    return len(known) == len(set(known))


@asynccontextmanager
async def within(endpoint: Endpoint, seconds: float) -> AsyncIterator[None]:
    """Raises IncompleteError when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise IncompleteError(f"{endpoint}: more pages than there is time for") from error
