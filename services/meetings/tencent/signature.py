"""Tencent Meeting's request signature (AK/SK), made over the very bytes that travel, anew for every attempt."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import httpx2
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the enterprise's own application was given. `sdk_id` must be sent if allotted, and not sent if not."""

    app_id: str
    sdk_id: str
    secret_id: str
    secret_key: SecretStr


def sign(credentials: Credentials, method: str, target: str, body: bytes, nonce: str, timestamp: str) -> str:
    """base64(hex(HMAC-SHA256)) of method, the three headers, path with query, and body: as documented (1095/42413)."""
    headers = f"X-TC-Key={credentials.secret_id}&X-TC-Nonce={nonce}&X-TC-Timestamp={timestamp}"
    text = f"{method}\n{headers}\n{target}\n".encode() + body
    digest = hmac.new(credentials.secret_key.get_secret_value().encode(), text, hashlib.sha256)
    return base64.b64encode(digest.hexdigest().encode()).decode()


class TencentAuth(httpx2.Auth):
    """Signs when the request is about to leave. Header names are case sensitive over there: HTTP/1.1 only."""

    requires_request_body = True

    def __init__(
        self,
        credentials: Credentials,
        now: Callable[[], float] = time.time,
        nonce: Callable[[], int] = lambda: secrets.randbelow(2**62) + 1,
    ) -> None:
        self._credentials = credentials
        self._now = now
        self._nonce = nonce

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        timestamp, nonce = str(int(self._now())), str(self._nonce())
        target = request.url.raw_path.decode("ascii")
        request.headers.update(
            {
                "Content-Type": "application/json",
                "X-TC-Key": self._credentials.secret_id,
                "X-TC-Timestamp": timestamp,
                "X-TC-Nonce": nonce,
                "X-TC-Signature": sign(self._credentials, request.method, target, request.content, nonce, timestamp),
                "X-TC-Registered": "1",
                "AppId": self._credentials.app_id,
                **({"SdkId": self._credentials.sdk_id} if self._credentials.sdk_id else {}),
            }
        )
        yield request
