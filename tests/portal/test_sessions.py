"""Sessions: how they begin, when they end, and what is kept where."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.installation.ports import free_port
from services.platform.settings import Settings
from services.portal.session_store import Bucket, Store
from services.portal.sessions import Session
from tests.patience import PATIENCE_SECONDS
from tests.portal.conftest import port_of
from tests.portal.served import Browser, Provider, Served, client_of, serve_portal
from tests.servers import HOST, Bus, password, until

MINUTE, HOUR = 60, 3600


async def status(browser: Browser, **headers: str) -> int:
    return (await browser.client.get(f"{browser.portal}/page", headers=headers)).status_code


async def test_a_session_that_somebody_brought_along_is_not_used(browser: Browser) -> None:
    """Neither one planted beforehand, nor the one before: each sign-in has a secret of its own."""
    browser.client.cookies.set("yunhui", "planted" * 6, domain="127.0.0.1")
    await browser.sign_in("ann")
    first = browser.cookie()
    assert first != "planted" * 6
    await browser.open("/sign-in?next=/page")
    second = browser.cookie()
    assert second != first
    for dead in (first, "planted" * 6):
        stranger = Browser(browser.portal)
        stranger.client.cookies.set("yunhui", dead, domain="127.0.0.1")
        assert await status(stranger) == 303


async def test_cookies_over_http_and_https(browser: Browser, provider: Provider, bus: Bus) -> None:
    """HttpOnly and Lax; over https also Secure and bound to the host, and the browser is told to come by https only."""
    begun = await browser.client.get(f"{browser.portal}/sign-in")
    plain = begun.headers["set-cookie"]
    assert plain.startswith("yunhui-sign-in-")
    assert ("HttpOnly" in plain, "SameSite=lax" in plain, "Path=/" in plain, "Domain" in plain) == (True,) * 3 + (
        False,
    )
    port = free_port()
    async with serve_portal(bus, client_of(provider), port, portal_url="https://book.example.org"):
        answer = await browser.client.get(f"http://{HOST}:{port}/sign-in", headers={"host": "book.example.org"})
        safe = answer.headers["set-cookie"]
    assert safe.startswith("__Host-yunhui-sign-in-")
    assert ("Secure" in safe, "HttpOnly" in safe, "Path=/" in safe, "Domain" in safe) == (True,) * 3 + (False,)
    assert "strict-transport-security" in answer.headers
    assert "strict-transport-security" not in begun.headers


async def test_thirty_idle_minutes_end_it(browser: Browser, portal: Served) -> None:
    """One second less does not; what a page fetches by itself is no sign of life."""
    await browser.sign_in("ann")
    portal.shift = 29 * MINUTE
    assert await status(browser) == 200
    portal.shift = 58 * MINUTE
    assert await status(browser, **{"sec-fetch-mode": "cors"}) == 200
    portal.shift = 59 * MINUTE + 5
    assert await status(browser) == 303


async def test_eight_hours_end_it_however_busy(browser: Browser, portal: Served) -> None:
    """And not before."""
    await browser.sign_in("ann")
    for portal.shift in range(0, 8 * HOUR - 10, 20 * MINUTE):
        assert await status(browser) == 200
    portal.shift = 8 * HOUR - 10
    assert await status(browser) == 200
    portal.shift = 8 * HOUR + 1
    assert await status(browser) == 303


async def test_signing_out_ends_it_here_and_at_the_issuer(browser: Browser, portal: Served) -> None:
    """The secret is worth nothing any more, and the issuer asks who one is."""
    page = await browser.sign_in("ann")
    secret = browser.cookie()
    out = await browser.post("/sign-out", {"csrf_token": token_in(page.text)})
    at_issuer = await browser.follow(out)
    assert "/session/end" in str(at_issuer.url)
    assert "eyJ" not in "".join(browser.visited)
    assert browser.cookie() == ""
    back = await browser.follow(await browser.submit(at_issuer, logout="yes"))
    assert back.url.path == "/signed-out"
    stolen = Browser(browser.portal)
    stolen.client.cookies.set("yunhui", secret, domain="127.0.0.1")
    assert await status(stolen) == 303
    asked = await browser.open("/page")
    assert "/interaction/" in str(asked.url)


async def test_a_restart_keeps_people_signed_in(browser: Browser, provider: Provider, bus: Bus, portal: Served) -> None:
    """So does another replica; and signing out there is signing out here."""
    page = await browser.sign_in("ann")
    port = free_port()
    async with serve_portal(bus, client_of(provider), port, portal_url=portal.url) as other:
        host = {"host": f"{HOST}:{port_of(provider)}"}
        there = f"http://{HOST}:{port}"
        assert "ann" in (await browser.client.get(f"{there}/page", headers=host)).text
        form = {"csrf_token": token_in(page.text)}
        await browser.client.post(f"{there}/sign-out", data=form, headers={**host, "origin": other.url})
    browser.client.cookies.set("yunhui", browser.cookie(), domain="127.0.0.1")
    assert await status(browser) == 303


async def test_the_bucket_opens_nothing(browser: Browser, bus: Bus) -> None:
    """Whoever reads all of it finds neither names, nor tokens, nor what cookies hold."""
    await browser.sign_in("ann")
    secret = browser.cookie()
    client = await bus.connect()
    inbox = await client.jetstream().subscribe("$KV.portal_sessions.>", ordered_consumer=True)
    found = [await inbox.next_msg(timeout=PATIENCE_SECONDS)]
    while found[-1].metadata.num_pending:
        found.append(await inbox.next_msg(timeout=PATIENCE_SECONDS))
    await client.close()
    for message in found:
        content = (message.subject + str(message.headers)).encode() + message.data
        assert not [word for word in (b"ann", b"eyJ", b"example.org", secret.encode()) if word in content]


async def test_what_was_removed_never_comes_back(bus: Bus) -> None:
    """Not even by a request that had read it before: or signing out would be undone by a sign of life."""
    options: dict[str, Any] = {"nats_user": "portal", "nats_password": password("portal")}
    bucket = Bucket(Settings(environment="development", nats_url=bus.url, **options))
    async with bucket.open():
        await until(lambda: bucket.connected)
        store: Store[str] = Store(bucket, str)
        secret = await store.create("one")
        stored = await store.read(secret)
        assert stored
        second = await store.replace(secret, stored, "two")
        assert second
        assert await store.replace(secret, stored, "three") is None
        await store.remove(secret)
        assert await store.replace(secret, second, "four") is None
        assert await store.read(secret) is None


@pytest.fixture
def short_lived(oidc_provider: Path, tmp_path: Path) -> Provider:
    """Its tokens live for an hour and are renewed by refresh tokens, each of one use."""
    return Provider(oidc_provider, tmp_path, f"http://{HOST}:{free_port()}", refresh=True, seconds=HOUR)


async def test_tokens_are_renewed_until_a_role_changes(short_lived: Provider, bus: Bus) -> None:
    """Without a new sign-in; whoever got or lost a role signs in again."""
    async with short_lived.running(), serve_portal(bus, client_of(short_lived), port_of(short_lived)) as portal:
        browser = Browser(portal.url)
        await browser.sign_in("ann")
        for portal.shift in (25 * MINUTE, 50 * MINUTE, HOUR - 10, HOUR + 25):
            assert await status(browser) == 200
        short_lived.set_roles("ann", "booker", "support")
        portal.shift += 31
        assert await status(browser) == 303
        assert "ann ['booker', 'support']" in (await browser.sign_in("ann")).text


async def test_whose_clock_was_ahead_keeps_nobody_from_renewing(short_lived: Provider, bus: Bus) -> None:
    """A replica that set out to renew an hour ahead of us, and never did."""
    async with short_lived.running(), serve_portal(bus, client_of(short_lived), port_of(short_lived)) as portal:
        browser = Browser(portal.url)
        await browser.sign_in("ann")
        options: dict[str, Any] = {"nats_user": "portal", "nats_password": password("portal")}
        bucket = Bucket(Settings(environment="development", nats_url=bus.url, **options))
        async with bucket.open():
            await until(lambda: bucket.connected)
            store = Store(bucket, Session)
            stored = await store.read(browser.cookie())
            assert stored
            claimed = replace(stored.record, renewal_time=portal.now() + 2 * HOUR, seen_time=portal.now() + HOUR)
            assert await store.replace(browser.cookie(), stored, claimed)
        portal.shift = HOUR + 25
        assert await status(browser) == 200


async def test_tokens_that_nobody_renews_end_the_session(oidc_provider: Path, tmp_path: Path, bus: Bus) -> None:
    """To the second: the services would not accept them any more."""
    provider = Provider(oidc_provider, tmp_path, f"http://{HOST}:{free_port()}", seconds=20 * MINUTE)
    async with provider.running(), serve_portal(bus, client_of(provider), port_of(provider)) as portal:
        browser = Browser(portal.url)
        await browser.sign_in("ann")
        portal.shift = 19 * MINUTE + 30
        assert await status(browser) == 200
        portal.shift = 20 * MINUTE + 1
        assert await status(browser) == 303


def token_in(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]
