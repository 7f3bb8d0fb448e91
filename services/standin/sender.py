"""Sends the stand-in's webhooks, signed as the original does, and treats them as badly as networks do, on purpose."""

import base64
import hashlib
import json
import logging
import random
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
ACKNOWLEDGED = "successfully received callback"


@dataclass(slots=True)
class Mischief:
    """Shares between 0 and 1 of the webhooks that are lost, sent twice, sent late, swapped with the next, or preceded
    by a forgery. `dice` makes it the same every time."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    swapped: float = 0.0
    forged: float = 0.0
    late_seconds: float = 1.0
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - mischief, not secrets


@dataclass(frozen=True, slots=True)
class WebhookOutcome:
    """What became of one delivery: `what` is as it should be, or the mischief."""

    what: str
    event: dict[str, Any]
    status: int
    body: str


class WebhookSender:
    """Without a `url` nothing is sent. `send` returns at once; `drain` waits until all is out."""

    def __init__(self, url: str = "", token: str = "", aes_key: str = "", mischief: Mischief | None = None) -> None:
        self.url = url
        self.token = token
        self.aes_key = aes_key
        self.mischief = mischief or Mischief()
        self.outcomes: list[WebhookOutcome] = []
        self._due: list[tuple[float, str, dict[str, Any]]] = []
        self._held: list[tuple[str, dict[str, Any]]] = []
        self._change = threading.Condition()
        self._busy = False
        self._client = httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._thread: threading.Thread | None = None

    def send(self, event: dict[str, Any]) -> None:
        if self.url:
            with self._change:
                for what, delay in self._plan():
                    self._due.append((time.monotonic() + delay, what, event))
                self._change.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, daemon=True)
                    self._thread.start()

    def drain(self, seconds: float = 60.0) -> bool:
        """Waits until all is out; False when it takes longer."""
        with self._change:
            return self._change.wait_for(lambda: not self._due and not self._held and not self._busy, seconds)

    def verify(self) -> bool:
        """Tencent's check of the address: a GET whose plain text must come back within three seconds."""
        plain = secrets.token_hex(16)
        check = self.encode(plain.encode())
        answer = self._client.get(f"{self.url}?check_str={quote(check, safe='')}", headers=self.sign(check))
        return (answer.status_code, answer.content) == (200, plain.encode())

    def deliver(self, event: dict[str, Any], what: str = "sent", token: str = "") -> WebhookOutcome:
        """One delivery, now. `token` forges."""
        data = self.encode(json.dumps(event, ensure_ascii=False).encode())
        body = json.dumps({"data": data}).encode()
        headers = {"Content-Type": "application/json", **self.sign(data, token)}
        try:
            answer = self._client.post(self.url, content=body, headers=headers)
            outcome = WebhookOutcome(what, event, answer.status_code, answer.text)
        except httpx2.HTTPError as error:
            outcome = WebhookOutcome(what, event, 0, type(error).__name__)
        self.outcomes.append(outcome)
        return outcome

    def sign(self, data: str, token: str = "", timestamp: str = "", nonce: str = "") -> dict[str, str]:
        timestamp, nonce = timestamp or str(int(time.time() * 1000)), nonce or str(secrets.randbelow(10**8) + 1)
        text = "".join(sorted([token or self.token, timestamp, nonce, data]))
        signature = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - as the original does
        return {"timestamp": timestamp, "nonce": nonce, "signature": signature}

    def encode(self, plain: bytes) -> str:
        """Base64, encrypted before if there is a key; without padding, as in the original's own example."""
        if self.aes_key:
            plain = encrypt(self.aes_key, plain)
        return base64.b64encode(plain).decode().rstrip("=")

    def _plan(self) -> list[tuple[str, float]]:
        mischief = self.mischief
        plan = [("sent", 0.0)]
        if mischief.dice.random() < mischief.lost:
            plan = []
        elif mischief.dice.random() < mischief.late:
            plan = [("late", mischief.late_seconds)]
        elif mischief.dice.random() < mischief.swapped:
            plan = [("swapped", 0.0)]
        if plan and mischief.dice.random() < mischief.doubled:
            plan.append(("doubled", plan[0][1]))
        if mischief.dice.random() < mischief.forged:
            plan.insert(0, ("forged", 0.0))
        return plan

    def _run(self) -> None:
        while True:
            with self._change:
                self._busy = False
                self._change.notify_all()
                what, event = self._take()
                self._busy = True
            try:
                self.deliver(event, what, token="forged" if what == "forged" else "")
            except Exception:
                log.exception("a webhook was not sent")

    def _take(self) -> tuple[str, dict[str, Any]]:
        """Waits for what is due. What is to be swapped waits for the next one, or until there is none."""
        while True:
            now = time.monotonic()
            due = next((item for item in sorted(self._due, key=lambda item: item[0]) if item[0] <= now), None)
            if due:
                self._due.remove(due)
                if due[1] == "swapped" and not self._held:
                    self._held.append((due[1], due[2]))
                    continue
                return due[1], due[2]
            if self._held and not self._due:
                return self._held.pop()
            pause = min((item[0] for item in self._due), default=now + 3600) - now
            self._change.wait(max(pause, 0.001))


def encrypt(key: str, plain: bytes) -> bytes:
    """AES-256-CBC, the first half of the key as the initial vector, PKCS#7: as documented (1095/51612)."""
    secret = base64.b64decode(key + "=")
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(secret), modes.CBC(secret[:16])).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
