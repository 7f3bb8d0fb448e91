"""Our signature is the one that the vendor's own library makes, over the bytes that travel."""

import json
import random
import string
import time

import httpx2
import pytest
import requests
from wemeet_openapi.core.authenticator import JWTAuthenticator
from wemeet_openapi.core.config import Config

from services.meetings.tencent.client import encode
from services.meetings.tencent.signature import TencentAuth
from tests.meetings.builders import credentials

OWN = credentials()
LETTERS = string.ascii_letters + string.digits + "+/=&%?# ~-_.!*'()" + "会议室预约中文é😀"
CLIENT = httpx2.Client(base_url="https://api.meeting.qq.com")


def words(dice: random.Random, length: int) -> str:
    return "".join(dice.choices(LETTERS, k=dice.randint(1, length)))


def random_request(dice: random.Random) -> tuple[str, str, dict[str, str], bytes]:
    method = dice.choice(["GET", "POST", "PUT"])
    query = {f"{words(dice, 3)}{number}": words(dice, 20) for number in range(dice.randint(0, 5))}
    content = {words(dice, 5): words(dice, 40) for _ in range(3)}
    body = b"" if method == "GET" else json.dumps(content, ensure_ascii=dice.random() < 0.5).encode()
    return method, f"/v1/meetings/{dice.randrange(10**18)}", query, body


def own_request(method: str, path: str, query: dict[str, str], body: bytes, nonce: int, now: int) -> httpx2.Request:
    request = CLIENT.build_request(method, path + encode(query), content=body or None)
    return next(TencentAuth(OWN, now=lambda: now, nonce=lambda: nonce).auth_flow(request))


def vendors_request(own: httpx2.Request, nonce: int, now: int) -> requests.PreparedRequest:
    """The vendor's signature for the same bytes on the wire."""
    prepared = requests.Request(own.method, str(own.url), data=own.content).prepare()
    assert prepared.path_url.encode() == own.url.raw_path
    config = Config(
        app_id=OWN.app_id,
        sdk_id=OWN.sdk_id,
        secret_id=OWN.secret_id,
        secret_key=OWN.secret_key.get_secret_value(),
    )
    JWTAuthenticator(nonce=nonce, timestamp=str(now)).options_build()(config).auth_header(prepared)
    return prepared


@pytest.mark.parametrize("number", range(200))
def test_it_is_the_vendors(number: int) -> None:
    """Queries with +, / and Chinese; bodies: 200 requests, made by chance, the same at every run."""
    dice = random.Random(number)
    nonce, now = dice.randint(1, 2**62), int(time.time())
    own = own_request(*random_request(dice), nonce, now)
    theirs = vendors_request(own, nonce, now)
    names = ("X-TC-Signature", "X-TC-Key", "X-TC-Timestamp", "X-TC-Nonce", "X-TC-Registered", "AppId", "SdkId")
    assert {name: own.headers[name] for name in names} == {name: theirs.headers[name] for name in names}


def test_a_query_travels_percent_encoded_throughout() -> None:
    """As the vendor's manual wants it: userid=123+123 travels as 123%2B123."""
    own = own_request("GET", "/v1/meetings", {"userid": "123+123", "b": "a/ 中"}, b"", 1, 1)
    assert own.url.raw_path == b"/v1/meetings?userid=123%2B123&b=a%2F%20%E4%B8%AD"


def test_an_sdk_id_that_was_not_allotted_is_not_sent() -> None:
    """Sent empty, it would be another application."""
    request = httpx2.Request("GET", "https://api.meeting.qq.com/v1/meetings")
    bare = type(OWN)(OWN.app_id, "", OWN.secret_id, OWN.secret_key)
    signed = next(TencentAuth(bare).auth_flow(request))
    assert "SdkId" not in signed.headers


def test_every_attempt_is_signed_anew() -> None:
    """The same time and nonce twice is a replay over there."""
    auth, seen = TencentAuth(OWN, now=lambda: 1.0), set()
    for _ in range(100):
        signed = next(auth.auth_flow(httpx2.Request("GET", "https://api.meeting.qq.com/v1/meetings")))
        seen.add((signed.headers["X-TC-Nonce"], signed.headers["X-TC-Signature"]))
    assert len(seen) == 100
