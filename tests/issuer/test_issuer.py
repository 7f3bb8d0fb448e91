"""The development issuer: anybody signs in, by the book, and only in development."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey

from services.installation import issuer as command
from services.installation.ports import free_port
from services.installation.state import State
from services.issuer.__main__ import IssuerSettings
from services.issuer.app import CLIENT_ID, SAMPLES, DevelopmentIssuer, Identity
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.serving.identity import KeySource, Verifier
from services.platform.serving.web import WebServer
from services.platform.settings import load
from tests.servers import HOST, until

PORTAL = "http://127.0.0.1:1"
VERIFIER = "v" * 43
CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"


@dataclass
class Running:
    """The issuer at work. `shift`: seconds that its clock is ahead."""

    address: str
    state: State
    shift: float = 0.0

    def now(self) -> float:
        return time.time() + self.shift


@asynccontextmanager
async def serve(running: Running, port: int) -> AsyncIterator[None]:
    key = ECKey.import_key(json.loads(running.state.private_key.read_text()))
    identity = Identity(DEVELOPMENT_ISSUER, running.address, "yunhui", key, PORTAL)
    server = WebServer(DevelopmentIssuer(identity, running.now).app(), f"{HOST}:{port}")
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.stop()
        await serving


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    state, port = State(tmp_path / "state"), free_port()
    state.prepare()
    command.prepare_keys(state)
    made = Running(f"http://{HOST}:{port}", state)
    async with serve(made, port):
        yield made


@pytest.fixture
async def client(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=running.address) as made:
        yield made


def asked(**changes: str) -> dict[str, str]:
    usual = {
        "client_id": CLIENT_ID,
        "redirect_uri": f"{PORTAL}/sign-in/callback",
        "response_type": "code",
        "scope": "openid profile",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return usual | changes


async def code(client: httpx2.AsyncClient, account: str = "support") -> str:
    answer = await client.post("/authorize", data=asked() | {"account": account})
    given = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (given["state"], given["iss"]) == ("state", DEVELOPMENT_ISSUER)
    return given["code"]


async def exchange(client: httpx2.AsyncClient, code: str, **changes: str) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": CLIENT_ID,
        "redirect_uri": f"{PORTAL}/sign-in/callback",
        "code_verifier": VERIFIER,
    }
    return await client.post("/token", data=form | changes)


async def test_the_services_believe_its_tokens(client: httpx2.AsyncClient, running: Running) -> None:
    """With the keys that they have, of the same person as `yunhui login` makes."""
    tokens = (await exchange(client, await code(client))).json()
    verifier = Verifier(DEVELOPMENT_ISSUER, "yunhui", KeySource(str(running.state.public_keys)))
    signed_in = verifier.verify(tokens["access_token"])
    minted = verifier.verify(command.mint(running.state, command.SampleAccount("support", "support")))
    assert signed_in == minted


async def test_the_page_offers_every_sample_in_both_languages(client: httpx2.AsyncClient) -> None:
    """And says that it is for development."""
    for language, words in (("zh-CN", "开发环境登录"), ("en", "Sign in for development")):
        page = await client.get("/authorize", params=asked(ui_locales=language))
        assert words in page.text
        assert all(f'value="{sample.account_id}"' in page.text for sample in SAMPLES)
        assert f"form-action 'self' {PORTAL}" in page.headers["content-security-policy"]


async def test_a_code_counts_once_and_not_for_long(client: httpx2.AsyncClient, running: Running) -> None:
    """A failed try uses it up too."""
    once = await code(client)
    assert (await exchange(client, once)).status_code == 200
    assert (await exchange(client, once)).status_code == 400
    spoilt = await code(client)
    assert (await exchange(client, spoilt, code_verifier="w" * 43)).status_code == 400
    assert (await exchange(client, spoilt)).status_code == 400
    late = await code(client)
    running.shift = 61
    assert (await exchange(client, late)).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": ""},
        {"redirect_uri": "http://evil.example"},
        {"client_id": "other"},
        {"grant_type": "password"},
    ],
)
async def test_a_code_is_for_who_asked(client: httpx2.AsyncClient, changes: dict[str, str]) -> None:
    """The verifier, the address and the client must be those of the question."""
    assert (await exchange(client, await code(client), **changes)).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"redirect_uri": "http://evil.example/sign-in/callback"},
        {"redirect_uri": f"{PORTAL}/sign-in/callback/"},
        {"response_type": "token"},
        {"scope": "profile"},
        {"state": ""},
        {"nonce": ""},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
)
async def test_a_wrong_question_leads_nowhere(client: httpx2.AsyncClient, changes: dict[str, str]) -> None:
    """It names what is wrong, and sends nobody anywhere."""
    for answer in (
        await client.get("/authorize", params=asked(**changes)),
        await client.post("/authorize", data=asked(**changes) | {"account": "admin"}),
    ):
        assert (answer.status_code, "location" in answer.headers) == (400, False)
        assert next(iter(changes)) in answer.text


async def test_nobody_else_can_be_chosen(client: httpx2.AsyncClient) -> None:
    """Only the samples shown."""
    answer = await client.post("/authorize", data=asked() | {"account": "service"})
    assert (answer.status_code, "account" in answer.text) == (400, True)


async def test_signing_out_leads_back_to_the_portal_only(client: httpx2.AsyncClient) -> None:
    """And to no other site."""
    back = await client.get("/sign-out", params={"post_logout_redirect_uri": f"{PORTAL}/signed-out"})
    assert back.headers["location"] == f"{PORTAL}/signed-out"
    assert (
        await client.get("/sign-out", params={"post_logout_redirect_uri": "http://evil.example"})
    ).status_code == 400


def test_production_refuses_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It would sign anybody in."""
    for name, value in {"ENVIRONMENT": "production", "PORTAL_URL": PORTAL, "SIGNING_KEY": "key"}.items():
        monkeypatch.setenv(f"YUNHUI_{name}", value)
    with pytest.raises(SystemExit) as ended:
        load(IssuerSettings)
    assert ended.value.code == 2
    assert "refused in production" in capsys.readouterr().err
