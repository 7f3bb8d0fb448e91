"""Forged forms do nothing; what people typed is never lost."""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from nats.js.api import StreamState

from tests.portal.served import Browser, Provider, Served, form_of
from tests.portal.test_sessions import MINUTE, token_in
from tests.servers import Bus, until

SESSIONS = "KV_portal_sessions"
TYPED = {"subject": "组会 <b>&", "people": "12"}


async def bucket(bus: Bus) -> StreamState:
    client = await bus.connect()
    found = (await client.jetstream().stream_info(SESSIONS)).state
    await client.close()
    return found


@asynccontextmanager
async def sessions_may_be(bus: Bus, most: int) -> AsyncIterator[None]:
    """The bucket is full at so many bytes."""
    client = await bus.connect()
    usual = (await client.jetstream().stream_info(SESSIONS)).config
    await client.jetstream().update_stream(replace(usual, max_bytes=most))
    try:
        yield
    finally:
        await client.jetstream().update_stream(usual)
        await client.close()


async def test_a_form_of_ours_is_taken(browser: Browser, portal: Served) -> None:
    """With its token as a field, or from a script as a header."""
    token = token_in((await browser.sign_in("ann")).text)
    assert (await browser.post("/page", TYPED | {"csrf_token": token})).text == "taken"
    assert (await browser.post("/page", TYPED, headers={"x-csrf-token": token})).text == "taken"
    assert portal.posted == [TYPED, TYPED]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_of_another_site_does_nothing(browser: Browser, portal: Served, headers: dict[str, str]) -> None:
    """Not even with the right token."""
    token = token_in((await browser.sign_in("ann")).text)
    refused = await browser.post("/page", TYPED | {"csrf_token": token}, headers=headers)
    assert (refused.status_code, portal.posted, "组会" in refused.text) == (403, [], False)


async def test_no_token_or_anothers_does_nothing(browser: Browser, portal: Served) -> None:
    """A page of ours from another sign-in offers what was typed once more; a form from nowhere is just refused."""
    mine = token_in((await browser.sign_in("ann")).text)
    other = Browser(browser.portal)
    others = token_in((await other.sign_in("bob")).text)
    assert mine != others
    for form in (TYPED, TYPED | {"csrf_token": ""}, TYPED | {"csrf_token": others}):
        nowhere = await browser.client.post(f"{browser.portal}/page", data=form)
        assert (nowhere.status_code, "组会" in nowhere.text) == (403, False)
        offered = await browser.post("/page", form)
        assert offered.status_code == 403
        action, fields = form_of(offered)
        assert (action, fields | {"csrf_token": ""}) == ("/page", TYPED | {"csrf_token": ""})
    assert portal.posted == []
    assert (await browser.submit(offered)).text == "taken"
    assert portal.posted == [TYPED]


async def test_opening_an_address_changes_nothing(browser: Browser) -> None:
    """Signing out by a link would be a prank."""
    await browser.sign_in("ann")
    assert (await browser.client.get(f"{browser.portal}/sign-out")).status_code == 405
    assert (await browser.client.get(f"{browser.portal}/page")).status_code == 200


async def test_a_form_sent_after_the_session_ended_comes_back_filled(browser: Browser, portal: Served) -> None:
    """After signing in; it was not taken before, and is taken once when it is sent again."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    leads_on = await browser.post("/page?day=1", TYPED | {"csrf_token": token})
    assert leads_on.status_code == 200
    assert leads_on.headers["refresh"].startswith("0;")
    back = await browser.through_issuer(await browser.follow(leads_on), "ann")
    assert portal.posted == []
    action, fields = form_of(back)
    assert action == "/page?day=1"
    assert {name: fields[name] for name in TYPED} == TYPED
    assert "<b>" not in back.text
    assert (await browser.submit(back)).text == "taken"
    assert portal.posted == [TYPED]


async def test_what_was_typed_survives_a_sign_in_that_failed(browser: Browser, portal: Served) -> None:
    """The next attempt has it."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    leads_on = await browser.post("/page", TYPED | {"csrf_token": token})
    stop = f"{browser.portal}/sign-in/callback"
    answer = await browser.through_issuer(await browser.follow(leads_on, stop), "ann", stop)
    state = dict(part.split("=") for part in str(answer.headers["location"]).partition("?")[2].split("&"))["state"]
    failed = await browser.client.get(f"{stop}?state={state}&error=access_denied")
    assert failed.status_code == 400
    way = failed.text.partition('<a class="button primary" href="')[2].partition('"')[0].replace("&amp;", "&")
    back = await browser.follow(await browser.client.get(way))
    assert {name: form_of(back)[1][name] for name in TYPED} == TYPED


@pytest.mark.long
async def test_strangers_fill_nothing_that_others_need(browser: Browser, portal: Served, bus: Bus) -> None:
    """Forms and sign-ins of nobody leave no trace with us: not a byte in the bucket where the sessions lie."""
    before = await bucket(bus)
    async with sessions_may_be(bus, before.bytes + 2**20):
        for number in range(40):
            large = {"csrf_token": "", "subject": random.Random(number).randbytes(25_000).hex()}
            stranger = Browser(browser.portal)
            assert (await stranger.post("/page", large)).status_code == 403
            assert (await stranger.client.get(f"{browser.portal}/sign-in")).status_code == 303
        after = await bucket(bus)
        assert (after.bytes, after.messages, after.last_seq) == (before.bytes, before.messages, before.last_seq)
        assert (await browser.sign_in("ann")).status_code == 200


async def test_what_is_too_long_for_a_cookie_stays_on_its_page(browser: Browser, portal: Served) -> None:
    """One signs in beside it, and sends it then."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    long = TYPED | {"note": random.Random(1).randbytes(4000).hex()}
    kept = await browser.post("/page", long | {"csrf_token": token})
    assert (kept.status_code, form_of(kept)[1]["note"]) == (403, long["note"])
    assert "set-cookie" not in kept.headers
    await browser.sign_in("ann")
    offered = await browser.submit(kept)
    assert offered.status_code == 403
    assert (await browser.submit(offered)).text == "taken"
    assert portal.posted == [long]


async def test_cookies_of_attempts_stay_below_what_proxies_take(browser: Browser, portal: Served) -> None:
    """However much was typed in however many pages; the last is there after the sign-in."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    for number in range(6):
        typed = {"csrf_token": token, "note": random.Random(number).randbytes(1200).hex()}
        leads_on = await browser.post("/page", typed)
        assert sum(len(f"{each.name}={each.value}; ") for each in browser.client.cookies.jar) < 7000
    back = await browser.through_issuer(await browser.follow(leads_on), "ann")
    assert form_of(back)[1]["note"] == typed["note"]
    assert sum(len(f"{each.name}={each.value}; ") for each in browser.client.cookies.jar) < 7000


async def test_a_kept_form_is_gone_after_half_an_hour_and_with_the_sign_out(browser: Browser, portal: Served) -> None:
    """Somebody else may sit there."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    leads_on = await browser.post("/page", TYPED | {"csrf_token": token})
    back = await browser.through_issuer(await browser.follow(leads_on), "ann")
    assert form_of(back)[0] == "/page"
    portal.shift += 29 * MINUTE
    assert form_of(await browser.client.get(f"{browser.portal}/sign-in/form"))[0] == "/page"
    portal.shift += MINUTE
    await browser.client.get(f"{browser.portal}/page")
    assert (await browser.client.get(f"{browser.portal}/sign-in/form")).headers["location"] == "/"
    await browser.post("/sign-out", {"csrf_token": form_of(back)[1]["csrf_token"]})
    assert browser.cookie("yunhui-sign-in-form") == ""


async def test_a_part_of_a_page_is_not_replaced_by_a_sign_in(browser: Browser, portal: Served) -> None:
    """What a script fetches gets 401, and what stands there stays."""
    token = token_in((await browser.sign_in("ann")).text)
    portal.shift = 31 * MINUTE
    answer = await browser.post("/page", TYPED | {"csrf_token": token}, headers={"hx-request": "true"})
    assert (answer.status_code, answer.text) == (401, "")


async def test_the_bus_is_away(browser: Browser, portal: Served, bus: Bus) -> None:
    """Nobody is recognized, nothing is done, and what was typed can be sent again afterwards."""
    token = token_in((await browser.sign_in("ann")).text)
    async with bus.paused():
        page = await browser.client.get(f"{browser.portal}/page")
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        kept = await browser.post("/page", TYPED | {"csrf_token": token})
    assert (kept.status_code, portal.posted) == (503, [])
    assert (await browser.submit(kept)).text == "taken"
    assert portal.posted == [TYPED]


async def test_it_is_ready_while_people_can_be_recognized(browser: Browser, portal: Served, bus: Bus) -> None:
    """And says that it is not to whoever sends people here; it runs all the same."""

    async def says(code: int) -> bool:
        return (await browser.client.get(f"{browser.portal}/readyz")).status_code == code

    await until(lambda: says(200))
    async with bus.paused():
        await until(lambda: says(503))
        assert (await browser.client.get(f"{browser.portal}/health")).status_code == 200
    await until(lambda: says(200))


async def test_too_much_is_refused(browser: Browser, portal: Served) -> None:
    """Before anything looks into it."""
    token = token_in((await browser.sign_in("ann")).text)
    answer = await browser.post("/page", {"csrf_token": token, "subject": "x" * 70_000})
    assert (answer.status_code, portal.posted) == (413, [])


@pytest.mark.parametrize(
    ("path", "code"), [("/nowhere", 404), ("/static/nothing.css", 404), ("/broken", 500), ("/signed-out", 200)]
)
async def test_every_answer_tells_the_browser_what_to_allow(browser: Browser, path: str, code: int) -> None:
    """The errors too."""
    answer = await browser.client.get(f"{browser.portal}{path}")
    assert answer.status_code == code
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert policy.endswith("base-uri 'none'; frame-ancestors 'none'; report-uri /csp")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.search(r"<h1[^>]*>[^<]+</h1>", answer.text)


async def test_both_languages(browser: Browser, provider: Provider) -> None:
    """As the browser wishes, or as was chosen here."""
    address = f"{browser.portal}/signed-out"
    assert "已退出" in (await browser.client.get(address)).text
    assert "Signed out" in (await browser.client.get(address, headers={"accept-language": "en-GB"})).text
    browser.client.cookies.set("language", "en", domain="127.0.0.1")
    assert '<html lang="en"' in (await browser.client.get(address)).text
    assert '<html lang="zh-CN"' in (await browser.client.get(f"{address}?lang=zh-CN")).text


async def test_a_token_is_another_in_every_answer(browser: Browser) -> None:
    """So that the length of compressed pages tells nothing about it; each of them holds, and a damaged one does not."""
    first = token_in((await browser.sign_in("ann")).text)
    second = token_in((await browser.client.get(f"{browser.portal}/page")).text)
    assert first != second
    for token in (first, second):
        assert (await browser.post("/page", {"csrf_token": token})).text == "taken"
    damaged = (first[:-1], first[:64], "zz", "中", first[:-1] + ("0" if first[-1] != "0" else "1"))
    for token in damaged:
        assert (await browser.post("/page", {"csrf_token": token})).status_code == 403


async def test_files_are_kept_by_browsers_as_long_as_they_are_the_same(browser: Browser) -> None:
    """By the address that pages give them; by another they are looked for anew. Text is compressed."""
    page = (await browser.client.get(f"{browser.portal}/signed-out")).text
    address = re.search(r'href="(/static/app.css\?v=\w+)"', page)
    assert address
    named = await browser.client.get(browser.portal + address[1], headers={"accept-encoding": "gzip"})
    assert named.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert named.headers["content-encoding"] == "gzip"
    for other in ("/static/app.css", "/static/app.css?v=000000000000"):
        assert (await browser.client.get(browser.portal + other)).headers["cache-control"] == "no-cache"
