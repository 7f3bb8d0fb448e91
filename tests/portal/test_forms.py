"""Forged forms do nothing; what people typed is never lost."""

import re

import pytest

from tests.portal.served import Browser, Provider, Served, form_of
from tests.portal.test_sessions import MINUTE, token_in
from tests.servers import Bus

TYPED = {"subject": "组会 <b>&", "people": "12"}


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
    way = failed.text.partition('<a href="')[2].partition('"')[0].replace("&amp;", "&")
    back = await browser.follow(await browser.client.get(way))
    assert {name: form_of(back)[1][name] for name in TYPED} == TYPED


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
    assert '<html lang="en">' in (await browser.client.get(address)).text


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
