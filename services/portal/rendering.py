"""Pages from templates: one Jinja2 environment a language, with gettext and what every page needs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from services.contracts.invitations import dashed
from services.platform.text.languages import CHINESE, ENGLISH, LANGUAGES
from services.platform.text.templates import create_environment
from services.platform.text.times import show_duration
from services.portal import assets, csrf, texts
from services.portal.calls import now_of
from services.portal.navigation import area_at, areas_for, lit
from services.portal.policies import name_of, own_words
from services.portal.sessions import Person
from services.portal.times import Reader, zone_of

FOLDER = Path(__file__).parent
THEMES = ("system", "light", "dark")


class InBothLanguages(Protocol):
    """A text of a contract."""

    zh_cn: str
    en: str


def told(words: InBothLanguages, language: str) -> str:
    return words.zh_cn if language == CHINESE else words.en


def sentence(text: str, language: str) -> str:
    """What a service says of a field, as a sentence of its own."""
    end = "。" if language == CHINESE else "."
    return text[:1].upper() + text[1:] + ("" if text.endswith((end, "?", "？")) or not text else end)


@lru_cache
def environment(language: str) -> Environment:
    made = create_environment(FileSystemLoader(FOLDER / "templates"), language, autoescape=True)
    made.filters["dashed"] = dashed
    made.filters["sentence"] = lambda text: sentence(text, language)
    made.filters["told"] = lambda words: told(words, language)
    made.filters["own"] = lambda text: own_words(text, language)
    made.filters["named"] = lambda quota: name_of(quota, language)
    made.filters["span"] = lambda seconds: show_duration(timedelta(seconds=int(seconds)), language)
    made.globals |= {"texts": texts, "asset": assets.address}
    return made


def language_of(request: Request) -> str:
    """As chosen here, else as the account says, else as the browser says, else Chinese.

    Who is not signed in has no settings: there the address may say so (`lang`), for one page.
    """
    person = getattr(request.state, "person", None)
    chosen = (request.query_params.get("lang") if person is None else "") or request.cookies.get("language", "")
    if chosen in LANGUAGES:
        return chosen
    if person is not None:
        return ENGLISH if person.locale == ENGLISH else CHINESE
    return ENGLISH if request.headers.get("accept-language", "").lower().startswith("en") else CHINESE


def reader_of(request: Request) -> Reader:
    now = datetime.fromtimestamp(now_of(request) / 1000, UTC)
    return Reader(language_of(request), zone_of(request.cookies.get("zone", "")), now)


def theme_of(request: Request) -> str:
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else "system"


def render(request: Request, template: str, code: int = 200, /, **values: Any) -> HTMLResponse:
    """Raises UndefinedError for a value that the template misses: no page with holes."""
    reader = reader_of(request)
    page = environment(reader.language).get_template(template)
    answer = HTMLResponse(page.render(**_shared(request, reader), **values), code)
    answer.headers["cache-control"] = "no-store"
    answer.headers["content-language"] = reader.language
    return answer


def _navigation(request: Request, person: Person | None) -> Mapping[str, Any]:
    areas = areas_for(getattr(request.app.state, "areas", ()), person) if person else []
    area = area_at(areas, request.url.path)
    return {"areas": areas, "area": area, "here": lit(area.tabs, request.url.path) if area else None}


def _shared(request: Request, reader: Reader) -> Mapping[str, Any]:
    person = getattr(request.state, "person", None)
    return {
        "path": request.url.path,
        "whole_path": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "person": person,
        **_navigation(request, person),
        "csrf": csrf.field(request),
        "reader": reader,
        "theme": theme_of(request),
        "languages": LANGUAGES,
    }
