"""Asks Tencent's REST API: signed, within its limits, in bounded time, and again where that is harmless."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from services.meetings.provider import AwayError, MisconfiguredError, NotAskedError, ProviderError, RateLimitedError
from services.meetings.tencent.answers import ErrorInfo, Failure, TencentAnswer
from services.meetings.tencent.errors import OF_ACCOUNT, OF_ALL_CALLS, OF_THIS_CALL, Endpoint, RefusalError, to_error
from services.meetings.tencent.limits import ACCOUNT_SHARE, CALLS_A_DAY, CALLS_A_MINUTE, Restraint, TokenBucket

log = logging.getLogger(__name__)

LARGEST_ANSWER = 8 * 1024 * 1024
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL)

A = TypeVar("A", bound=TencentAnswer)


@dataclass(frozen=True, slots=True)
class Call:
    """One request before it is signed. Only what is read may be repeated after an answer that did not come."""

    endpoint: Endpoint
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        return self.endpoint.partition(" ")[0]

    @property
    def repeatable(self) -> bool:
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: for a connection, a read or write, a call with its attempts and waits, an answer of many pages."""

    connect: float = 2.0
    read: float = 4.0
    whole: float = 8.0
    all_pages: float = 20.0
    pauses: tuple[float, ...] = (0.2, 0.6)
    """Before the second attempt, and the third."""


@dataclass(slots=True)
class Progress:
    """Of what was never sent it is known that it was not done."""

    sent: bool = False


class TencentClient:
    """Asks: signed anew each time, within the limits, once more after each pause, and no longer than `timing.whole`."""

    def __init__(self, address: str, auth: httpx2.Auth, timing: Timing, calls_a_minute: int = CALLS_A_MINUTE) -> None:
        timeout = httpx2.Timeout(timing.read, connect=timing.connect)
        # no HTTP/2: it would write header names in lower case, and the other side takes them for others
        self._http = httpx2.AsyncClient(base_url=address, auth=auth, timeout=timeout, http2=False)
        self.timing = timing
        buckets = [TokenBucket(calls_a_minute, 60, burst=20), TokenBucket(CALLS_A_DAY, 86400, burst=CALLS_A_DAY // 2)]
        self._restraint = Restraint(buckets, timing.whole)
        self._restraints = {
            endpoint: Restraint([TokenBucket(calls_a_minute // ACCOUNT_SHARE, 60, burst=5)], timing.whole)
            for endpoint in OF_ACCOUNT
        }

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, call: Call, kind: type[A]) -> A:
        """Raises ProviderError, with a RefusalError as its cause where a code came."""
        progress = Progress()
        try:
            async with asyncio.timeout(self.timing.whole):
                return await self._ask_again_and_again(call, kind, progress)
        except TimeoutError as error:
            if not progress.sent:
                raise RateLimitedError("too many calls wait for their turn", 5) from error
            raise AwayError(f"{call.endpoint}: no answer within {self.timing.whole:g} s") from error

    async def _ask_again_and_again(self, call: Call, kind: type[A], progress: Progress) -> A:
        for pause in self.timing.pauses:
            try:
                return await self._ask_once(call, kind, progress)
            except (RateLimitedError, MisconfiguredError):
                raise
            except AwayError as error:
                if not call.repeatable:
                    raise
                log.info("%s, trying again", error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
        return await self._ask_once(call, kind, progress)

    async def _ask_once(self, call: Call, kind: type[A], progress: Progress) -> A:
        if call.endpoint in self._restraints:
            await self._restraints[call.endpoint].take()
        await self._restraint.take()
        progress.sent = True
        try:
            status, content = await self._send(call)
        except NEVER_SENT as error:
            raise NotAskedError(f"{call.endpoint}: {type(error).__name__}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise AwayError(f"{call.endpoint}: {type(error).__name__}") from error
        info = read_error(content)
        if info:
            raise self._failed(call, info) from RefusalError(info.error_code)
        if status != httpx2.codes.OK:
            raise AwayError(f"{call.endpoint}: HTTP {status} without an error code")
        return read(call, kind, content)

    async def _send(self, call: Call) -> tuple[int, bytes]:
        request = self._http.build_request(call.method, call.path + encode(call.query), json=call.body)
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise AwayError(f"{call.endpoint}: the answer is larger than {LARGEST_ANSWER} bytes")
            return response.status_code, bytes(content)
        finally:
            await response.aclose()

    def _failed(self, call: Call, info: ErrorInfo) -> ProviderError:
        error = to_error(call.endpoint, info.error_code, info.message)
        if isinstance(error, RateLimitedError):
            if info.error_code in OF_ALL_CALLS:
                self._restraint.pause(error.retry_seconds)
            elif info.error_code == OF_THIS_CALL and call.endpoint in self._restraints:
                self._restraints[call.endpoint].pause(error.retry_seconds)
        return error


def read_error(content: bytes) -> ErrorInfo | None:
    """Whatever the HTTP status is."""
    try:
        return Failure.model_validate_json(content).error_info
    except ValidationError:
        return None


def read(call: Call, kind: type[A], content: bytes) -> A:
    try:
        return kind.model_validate_json(content or b"{}")
    except ValidationError as error:
        # the error quotes what was read, which can be personal: only where it failed is told
        places = ", ".join(".".join(map(str, each["loc"])) for each in error.errors(include_input=False)[:3])
        raise AwayError(f"{call.endpoint}: an answer that cannot be read: {places or 'no JSON'}") from error


def encode(query: Mapping[str, str]) -> str:
    """Percent-encoded throughout: a "+" would be a space to some and itself to others, and the signature broken."""
    joined = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    return f"?{joined}" if joined else ""
