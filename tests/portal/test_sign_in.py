"""Signing in at a real OpenID provider, and every way of doing it wrong."""

import html
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from yunhui.access.v1.access_pb2 import Grant

from services.installation.ports import free_port
from tests.portal.conftest import port_of
from tests.portal.served import CLIENT_ID, Browser, Provider, Served, client_of, next_address, serve_portal, serve_rooms
from tests.servers import HOST, Bus

CALLBACK = "/sign-in/callback"


def changed(address: str, **parameters: str) -> str:
    """The address with other values in its query."""
    parts = urlsplit(address)
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | parameters)).geturl()


async def answer_of_issuer(browser: Browser, account: str = "ann") -> str:
    """The address at which the issuer sends the browser back; it has not been opened."""
    stop = browser.portal + CALLBACK
    return next_address(await browser.sign_in(account, stop=stop))


async def answer_to_forged_question(browser: Browser, **parameters: str) -> str:
    """The same, after something in the question was changed on its way to the issuer."""
    begun = await browser.client.get(f"{browser.portal}/sign-in?next=/page")
    stop = browser.portal + CALLBACK
    asked = await browser.follow(await browser.step(changed(next_address(begun), **parameters)), stop)
    return next_address(await browser.through_issuer(asked, "ann", stop))


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.client.get(f"{browser.portal}/page")).status_code == 200


async def test_whoever_signs_in_is_who_the_issuer_says(browser: Browser) -> None:
    """And comes to the page that was asked for; the cookie says nothing, and no token reaches the browser."""
    page = await browser.sign_in("ann")
    assert "ann ['booker'] en" in page.text
    assert page.url.path == "/page"
    assert re.fullmatch(r"[\w-]{43}", browser.cookie())
    assert "eyJ" not in page.text + "".join(browser.visited) + str(browser.client.cookies)


async def test_the_services_see_the_persons_own_token(browser: Browser) -> None:
    """Over gRPC, each person their own."""
    await browser.sign_in("ann")
    assert (await browser.open("/ask")).text == "ann ['booker']"
    other = Browser(browser.portal)
    await other.sign_in("bob")
    assert (await other.open("/ask")).text == "bob ['support']"


async def test_a_disabled_account_s_session_ends_at_once(browser: Browser, portal: Served) -> None:
    """When the account is enabled again, it is by a new one."""
    await browser.sign_in("booker")
    secret = browser.cookie()
    portal.grants.put("booker", Grant(version=1, disabled=True))
    refused = await browser.open("/page")
    assert (refused.status_code, "账号已停用" in refused.text) == (403, True)
    portal.grants.put("booker", Grant(version=2))
    assert "booker" in (await browser.open("/page")).text  # by way of the issuer, who knows them still
    assert browser.cookie() != secret


async def test_a_role_of_the_directory_opens_pages_at_once(browser: Browser, portal: Served) -> None:
    await browser.sign_in("booker")
    portal.grants.put("booker", Grant(version=3, roles=["support"]))
    assert "['support']" in html.unescape((await browser.open("/page")).text)
    portal.grants.put("booker", Grant(version=4))


async def test_an_issuer_without_jwt_access_tokens(oidc_provider: Path, tmp_path: Path, bus: Bus) -> None:
    """The services are shown the id token, whose audience is the portal; the secret goes in the body where it must."""
    port = free_port()
    provider = Provider(
        oidc_provider,
        tmp_path,
        f"http://{HOST}:{port}",
        jwt=False,
        audience=CLIENT_ID,
        auth_method="client_secret_post",
    )
    async with (
        provider.running(),
        serve_rooms(provider, tmp_path) as booking,
        serve_portal(bus, client_of(provider), port, booking=booking) as served,
    ):
        browser = Browser(served.url)
        await browser.sign_in("ann")
        assert (await browser.open("/ask")).text == "ann ['booker']"
    async with provider.running(), serve_portal(bus, client_of(provider, audience="yunhui"), port) as served:
        browser = Browser(served.url)
        assert (await browser.sign_in("ann")).status_code == 400


async def test_a_wrong_state(browser: Browser) -> None:
    """Another state, none, and the right one in another browser."""
    answer = await answer_of_issuer(browser)
    for wrong in (changed(answer, state="a" * 30), changed(answer, state=""), changed(answer, state="../x")):
        assert (await browser.client.get(wrong)).status_code == 400
    stranger = Browser(browser.portal)
    assert (await stranger.client.get(answer)).status_code == 400
    assert not await is_signed_in(stranger)
    state = dict(parse_qsl(urlsplit(answer).query))["state"]
    near = changed(answer, state=state[:12] + "x" * (len(state) - 12))
    assert (await browser.client.get(near)).status_code == 400
    assert not await is_signed_in(browser)


@pytest.mark.parametrize("changes", [{"nonce": "another"}, {"code_challenge": "A" * 43}])
async def test_a_wrong_nonce_or_verifier(browser: Browser, changes: dict[str, str]) -> None:
    """The issuer answers, and its answer is not believed; unchanged, the same way leads in."""
    answer = await browser.client.get(await answer_to_forged_question(browser, **changes))
    assert answer.status_code == 400
    assert not await is_signed_in(browser)
    await browser.client.get(await answer_to_forged_question(browser))
    assert await is_signed_in(browser)


async def test_a_wrong_issuer(browser: Browser, provider: Provider, bus: Bus) -> None:
    """In the answer (RFC 9207), in the discovery document, or none in the answer of an issuer that promised one."""
    answer = await answer_of_issuer(browser)
    assert (await browser.client.get(changed(answer, iss="https://evil.example"))).status_code == 400
    fresh = await answer_of_issuer(browser)
    without = re.sub(r"[?&]iss=[^&]*", "", fresh)
    assert without != fresh
    assert (await browser.client.get(without)).status_code == 400
    assert not await is_signed_in(browser)
    other = client_of(provider, issuer="https://issuer.example", discovery=provider.issuer + DISCOVERY)
    port = free_port()
    async with serve_portal(bus, other, port) as served:
        refused = await Browser(served.url).client.get(f"{served.url}/sign-in")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


DISCOVERY = "/.well-known/openid-configuration"


async def test_a_wrong_redirect(browser: Browser, provider: Provider, bus: Bus) -> None:
    """An address that is not registered: the issuer sends nobody there."""
    begun = await browser.client.get(f"{browser.portal}/sign-in")
    asked = await browser.client.get(changed(next_address(begun), redirect_uri="http://127.0.0.1:1/evil"))
    assert (asked.status_code, next_address(asked)) == (400, "")
    port = free_port()
    async with serve_portal(bus, client_of(provider, redirect_uri="http://127.0.0.1:1/x"), port) as served:
        stranger = Browser(served.url)
        assert (await stranger.open("/sign-in")).status_code == 400


async def test_an_answer_counts_once(browser: Browser) -> None:
    """Neither opened again nor with its code in the answer to another question."""
    answer = await answer_of_issuer(browser)
    assert (await browser.client.get(answer)).status_code == 303
    browser.client.cookies.delete("yunhui")
    assert (await browser.client.get(answer)).status_code == 400
    used = dict(parse_qsl(urlsplit(answer).query))["code"]
    again = await answer_of_issuer(browser)
    assert (await browser.client.get(changed(again, code=used))).status_code == 400
    assert not await is_signed_in(browser)


async def test_the_issuers_refusal_is_said(browser: Browser) -> None:
    """With the way to try again to the same page."""
    answer = await answer_of_issuer(browser)
    refused = await browser.client.get(changed(answer, error="access_denied"))
    assert refused.status_code == 400
    assert 'href="/sign-in?next=/page"' in refused.text


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil",
        "///evil.example",
        "/" + "x" * 3000,
    ],
)
async def test_next_leads_to_no_other_site(browser: Browser, path: str) -> None:
    """But to the start page."""
    begun = await browser.client.get(f"{browser.portal}/sign-in", params={"next": path})
    asked = await browser.follow(begun)
    answer = next_address(await browser.through_issuer(asked, "ann", stop=browser.portal + CALLBACK))
    assert (await browser.client.get(answer)).headers["location"] == "/"


async def test_next_keeps_path_and_query(browser: Browser) -> None:
    """Letters beyond ASCII too."""
    begun = await browser.client.get(f"{browser.portal}/page?day=2025-07-07&subject=组会")
    assert begun.headers["location"].startswith("/sign-in?next=/page")
    page = await browser.through_issuer(await browser.follow(begun), "ann")
    assert str(page.url).startswith(f"{browser.portal}/page?day=2025-07-07&subject=")


async def test_attempts_do_not_pile_up_in_the_browser(browser: Browser) -> None:
    """Their cookies travel with every request; the newest counts."""
    for _ in range(9):
        last = await browser.client.get(f"{browser.portal}/sign-in")
    assert len([cookie for cookie in browser.client.cookies.jar if "sign-in" in cookie.name]) <= 4
    answer = await browser.through_issuer(await browser.follow(last), "ann", stop=browser.portal + CALLBACK)
    assert (await browser.client.get(next_address(answer))).status_code == 303


async def test_the_issuer_is_away(bus: Bus, oidc_provider: Path, tmp_path: Path) -> None:
    """It is said, and the page asks again by itself; when it is back one signs in, without a restart of ours."""
    port = free_port()
    provider = Provider(oidc_provider, tmp_path, f"http://{HOST}:{port}")
    async with serve_portal(bus, client_of(provider), port) as served:
        browser = Browser(served.url)
        away = await browser.client.get(f"{served.url}/sign-in?next=/page")
        assert (away.status_code, away.headers["refresh"]) == (503, "5")
        async with provider.running():
            assert "ann" in (await browser.sign_in("ann")).text


async def test_another_name_of_this_machine(portal: Served, provider: Provider) -> None:
    """Leads to the portal's own: cookies and forms know only that."""
    address = f"http://localhost:{port_of(provider)}/page?x=1"
    answer = await Browser(portal.url).client.get(address)
    assert (answer.status_code, answer.headers["location"]) == (307, f"{portal.url}/page?x=1")
