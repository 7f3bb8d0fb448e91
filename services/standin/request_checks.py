"""What the stand-in checks before it answers: as strict as the original is documented to be."""

import base64
import hashlib
import hmac
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

SKEW_SECONDS = 300
ACCOUNT_USERS = "/v1/users/advance/list"
ACCOUNT_MEETINGS = "/v1/corp/meetings"
ACCOUNT_RECORDINGS = "/v1/corp/records"
OF_ACCOUNT = (ACCOUNT_USERS, ACCOUNT_MEETINGS)
"""About the whole enterprise: each such call has a limit of its own."""
QUALITY = re.compile(r"/v1/meetings/(\d+)/qos")
REQUIRED = ("X-TC-Key", "X-TC-Timestamp", "X-TC-Nonce", "X-TC-Signature", "X-TC-Registered", "AppId", "Content-Type")


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """An error of the API: the code, its words, the HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Application:
    """Credentials that the stand-in knows. `sdk_id` "" is an application that was allotted none."""

    app_id: str = "200000001"
    sdk_id: str = "200000164"
    secret_id: str = "AKIDstandin"  # noqa: S105 - opens nothing but the stand-in
    secret_key: str = "standin-secret-key"  # noqa: S105 - likewise


@dataclass(slots=True)
class Request:
    """As it came over the wire: `target` is path and query, header names keep their case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class RequestChecker:
    """Header names with their case, key and ids, clock, signature over the wire bytes, replay, number of calls."""

    application: Application = field(default_factory=Application)
    a_minute: int = 300
    a_day: int = 200_000
    of_account_a_minute: int = 100
    of_quality_a_minute: int = 30
    of_recordings_a_minute: int = 10
    now: Callable[[], float] = time.time
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _used: dict[tuple[str, str], float] = field(default_factory=dict)
    _calls: deque[float] = field(default_factory=deque)
    _calls_of: dict[str, deque[float]] = field(default_factory=dict)

    def check(self, request: Request) -> None:
        """Raises Refusal."""
        self._check_headers(request)
        self._check_identity(request)
        self._check_time(request)
        self._check_signature(request)
        with self._lock:
            self._check_replay(request)
            self._count()
            self.count_by_path(request.target.partition("?")[0])

    def count_by_path(self, path: str) -> None:
        """Those that have a limit of their own. Raises Refusal."""
        if path in OF_ACCOUNT:
            self._count_of(path, self.of_account_a_minute, Refusal(190313, "calls of this kind a minute"))
        elif path == ACCOUNT_RECORDINGS:
            self._count_of(path, self.of_recordings_a_minute, Refusal(190313, "calls of this kind a minute"))
        elif QUALITY.fullmatch(path):
            self._count_of(path, self.of_quality_a_minute, Refusal(500046, "real-time data of this meeting", 500))

    def _check_headers(self, request: Request) -> None:
        for name in REQUIRED:
            if name not in request.headers:
                raise Refusal(200001, f"header {name} is missing")
        if request.headers["X-TC-Registered"] != "1":
            raise Refusal(190004, "X-TC-Registered must be 1")
        if not request.headers["Content-Type"].startswith("application/json"):
            raise Refusal(190004, "Content-Type must be application/json")

    def _check_identity(self, request: Request) -> None:
        given = (request.headers["X-TC-Key"], request.headers["AppId"], request.headers.get("SdkId"))
        known = self.application
        if given != (known.secret_id, known.app_id, known.sdk_id or None):
            raise Refusal(190303, "secret id, app id or sdk id is not known")

    def _check_time(self, request: Request) -> None:
        nonce, timestamp = request.headers["X-TC-Nonce"], request.headers["X-TC-Timestamp"]
        if not (nonce.isascii() and nonce.isdigit() and int(nonce) > 0 and timestamp.isascii() and timestamp.isdigit()):
            raise Refusal(190004, "nonce and timestamp must be positive integers")
        if abs(self.now() - int(timestamp)) > SKEW_SECONDS:
            raise Refusal(190300, "timestamp is more than 5 minutes off")

    def _check_signature(self, request: Request) -> None:
        nonce, timestamp = request.headers["X-TC-Nonce"], request.headers["X-TC-Timestamp"]
        names = f"X-TC-Key={self.application.secret_id}&X-TC-Nonce={nonce}&X-TC-Timestamp={timestamp}"
        text = "\n".join([request.method, names, request.target, ""]).encode() + request.body
        digest = hmac.new(self.application.secret_key.encode(), text, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(base64.b64encode(digest.encode()).decode(), request.headers["X-TC-Signature"]):
            raise Refusal(200003, "Signature failed")

    def _check_replay(self, request: Request) -> None:
        now, pair = self.now(), (request.headers["X-TC-Timestamp"], request.headers["X-TC-Nonce"])
        self._used = {each: when for each, when in self._used.items() if now - when <= SKEW_SECONDS}
        if pair in self._used:
            raise Refusal(190301, "replayed")
        self._used[pair] = now

    def _count(self) -> None:
        now = self.now()
        while self._calls and now - self._calls[0] >= 86400:
            self._calls.popleft()
        if len(self._calls) >= self.a_day:
            raise Refusal(190311, "calls a day")
        if len(self._calls) >= self.a_minute and now - self._calls[-self.a_minute] < 60:
            raise Refusal(190310, "calls a minute")
        self._calls.append(now)

    def _count_of(self, path: str, limit: int, refusal: Refusal) -> None:
        now, calls = self.now(), self._calls_of.setdefault(path, deque())
        while calls and now - calls[0] >= 60:
            calls.popleft()
        if len(calls) >= limit:
            raise refusal
        calls.append(now)
