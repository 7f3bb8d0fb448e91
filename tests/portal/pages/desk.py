"""Somebody without JavaScript before the console, who sends the forms of its pages as they are."""

import html
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.portal.pages.serving import COOKIE, Portal


class Desk:
    """Somebody without JavaScript who sends the forms of pages as they are, but for what is typed."""

    def __init__(
        self, portal: Portal, client: httpx2.Client, name: str = "root", role: str = "admin", language: str = "en"
    ) -> None:
        self._client = client
        self._session = portal.sign_in(name, role)
        self._headers = {"cookie": self.cookie(language), "origin": portal.address}

    def cookie(self, language: str) -> str:
        return f"{COOKIE}={self._session}; language={language}"

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self._client.get(path, headers=self._headers | headers)

    def text(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def upload(self, content: bytes, name: str = "people.csv", **fields: str) -> httpx2.Response:
        """As a browser does it: the fields of the form first, as they stand there."""
        _, known = form_in(self.text("/console/imports"))
        return self.post_file("/console/imports", content, fields.get("csrf_token", str(known["csrf_token"])), name)

    def post_file(self, path: str, content: bytes, token: str, name: str = "people.csv") -> httpx2.Response:
        files = {"file": (name, content)}
        return self._client.post(path, data={"csrf_token": token}, files=files, headers=self._headers)

    def act(self, page: str, action: str) -> httpx2.Response:
        """The form of the page that is sent to an address which begins so."""
        text = self.text(page)
        found = re.search(rf'action="({re.escape(action)}[^"]*)"[^>]*>(.*?)</form>', text, re.S)
        assert found, text
        token = re.search(r'name="csrf_token" value="([^"]*)"', found[2])
        assert token, text
        return self.send(html.unescape(found[1]), {"csrf_token": token[1]})

    def fields(self, page: str) -> dict[str, str | list[str]]:
        """Those that every form of the page has."""
        return {"csrf_token": form_in(page)[1]["csrf_token"]}

    def send(self, path: str, fields: dict[str, str | list[str]]) -> httpx2.Response:
        return self._client.post(path, data=fields, headers=self._headers)

    def submit(self, page: str | httpx2.Response, **typed: Any) -> httpx2.Response:
        """The form in the page's main part; a field that is given as [] is not sent."""
        page = self.text(page) if isinstance(page, str) else page.text
        action, fields = form_in(page)
        return self.send(action, {**fields, **typed})

    def done(self, path: str, **typed: Any) -> str:
        """Where the form of a page leads once it is taken."""
        answer = self.submit(path, **typed)
        assert answer.status_code == 303, faults(answer)
        return str(answer.headers["location"])


def form_in(page: str) -> tuple[str, dict[str, str | list[str]]]:
    main = page[page.index("<main") :]
    form = re.search(r'<form[^>]*method="post" action="([^"]*)"[^>]*>(.*?)</form>', main, re.S)
    assert form, page
    fields: dict[str, str | list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form[2]):
        given = {name: html.unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
        kind, name = given.get("type", "text"), given.get("name", "")
        if kind in {"checkbox", "radio"} and " checked" not in tag:
            continue
        before = fields.get(name)
        if kind == "checkbox" or before is not None:
            fields[name] = [*([before] if isinstance(before, str) else before or []), given["value"]]
        else:
            fields[name] = given.get("value", "")
    for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', form[2], re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options) or re.search(
            r'<option value="([^"]*)"', options
        )
        fields[name] = html.unescape(chosen[1]) if chosen else ""
    return html.unescape(form[1]), fields


def faults(answer: httpx2.Response) -> dict[str, str]:
    """What is said beside the fields, and above them."""
    found = re.findall(r'<p class="fault" id="fault-([\w-]+)">(.*?)</p>', answer.text, re.S)
    above = re.search(r'<div class="banner bad" role="alert">.*?<p>(.*?)</p>', answer.text, re.S)
    return {name: html.unescape(words) for name, words in found} | ({"": html.unescape(above[1])} if above else {})


def department(desk: Desk, name: str, below: str = "") -> str:
    """Its id."""
    made = desk.done(f"/console/departments/new?below={below}", display_name=name)
    return urlsplit(made).path.rpartition("/")[2]


def member(desk: Desk, account: str, name: str, **more: str | list[str]) -> str:
    """The address of its page."""
    return desk.done("/console/members/new", account_id=account, display_name=name, **more).partition("&done")[0]


def names(page: str) -> list[str]:
    return re.findall(r'<td><a href="/console/member\?id=[^"]*">([^<]*)</a>', page)
