"""Sign-in for development: who one is, one chooses; the rest is as strict as OpenID Connect asks of an issuer.

Authorization code with PKCE (S256 only) for one public client. Codes live in memory, for a minute, for one use.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from services.platform.text.languages import CHINESE, ENGLISH, LANGUAGES
from services.platform.text.messages import Text, message

CLIENT_ID = "yunhui-portal"
CODE_SECONDS = 60
TOKEN_SECONDS = 12 * 3600
ROLES = ("booker", "support", "admin")
ASKED = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge")
CHALLENGE_LETTERS = 43
LONGEST, LONGEST_NAME = 512, 64
LOOK = """
:root {
  color-scheme: light dark;
  --ground: light-dark(#f5f7fa, #10151d); --card: light-dark(#fff, #18202b); --line: light-dark(#d9e0ea, #303c4c);
  --text: light-dark(#17202e, #e8edf4); --soft: light-dark(#516074, #a5b2c4);
  --accent: light-dark(#1f5fbf, #84b3ff); --on-accent: light-dark(#fff, #0b1a33);
  --wait: light-dark(#7b4a00, #f3c573); --wait-ground: light-dark(#fdf1db, #35270d);
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text) }
body { font: 16px/1.6 system-ui, -apple-system, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }
main { max-width: 30rem; margin: 7vh auto; padding: 2rem; border-radius: 14px }
main { background: var(--card); border: 1px solid var(--line) }
h1 { font-size: 1.45rem; line-height: 1.3; margin: 0 0 .9rem }
.note { margin: 0 0 1.25rem; padding: .7rem .9rem; border-radius: 10px; font-size: .94rem }
.note { background: var(--wait-ground); color: var(--wait) }
button, input, select { font: inherit; width: 100%; min-height: 2.75rem; padding: .5rem .9rem; border-radius: 10px }
button, input, select { border: 1px solid var(--soft); background: var(--card); color: var(--text) }
button { cursor: pointer }
.who { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; align-items: center; text-align: left }
.who { margin: 0 0 .6rem; border-color: var(--line) }
.who b { color: var(--accent) }
.who span { color: var(--soft); font-size: .94rem }
.who:hover { border-color: var(--accent) }
.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 560 }
.primary { margin-top: .8rem }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
summary { cursor: pointer; color: var(--soft); min-height: 2rem; margin-top: .6rem }
label { display: grid; gap: .25rem; margin: .6rem 0; font-size: .94rem; font-weight: 560 }
@media (max-width: 34rem) { main { margin: 0; padding: 1.5rem 1rem; border: 0; border-radius: 0; min-height: 100vh } }
"""
LOOK_HASH = base64.b64encode(hashlib.sha256(LOOK.encode()).digest()).decode()
STYLE = f"default-src 'none'; style-src 'sha256-{LOOK_HASH}'; base-uri 'none'; frame-ancestors 'none'"


class RefusedSignInError(Exception):
    """A request that a correct client would not make."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Somebody to try things with: the same accounts as of `yunhui login`."""

    account_id: str
    role: str
    does: Text | None = None
    name: str = ""


SAMPLES = (
    Sample("booker", "booker", message("books meetings")),
    Sample("booker-2", "booker", message("books meetings too")),
    Sample("support", "support", message("decides what support must decide")),
    Sample("admin", "admin", message("administers rooms and rules")),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for. `expire_time` in epoch seconds."""

    sample: Sample
    asked: Mapping[str, str]
    locale: str
    expire_time: float


@dataclass(frozen=True, slots=True)
class Identity:
    """The issuer's name, where it is found, its key, and the one portal that it knows."""

    issuer: str
    address: str
    audience: str
    key: ECKey
    portal_url: str

    @property
    def redirect_uri(self) -> str:
        return f"{self.portal_url}/sign-in/callback"


class DevelopmentIssuer:
    """Its addresses. `now` is in epoch seconds."""

    def __init__(self, identity: Identity, now: Callable[[], float] = time.time) -> None:
        self._identity = identity
        self._now = now
        self._grants: dict[str, Grant] = {}

    def app(self) -> Starlette:
        routes = [
            Route("/.well-known/openid-configuration", self.discover),
            Route("/jwks", self.keys),
            Route("/authorize", self.choose, methods=["GET"]),
            Route("/authorize", self.authorize, methods=["POST"]),
            Route("/token", self.exchange, methods=["POST"]),
            Route("/sign-out", self.sign_out),
            Route("/health", healthy),
        ]
        return Starlette(routes=routes, exception_handlers={RefusedSignInError: refused})

    async def discover(self, _: Request) -> Response:
        at = self._identity.address
        return JSONResponse(
            {
                "issuer": self._identity.issuer,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "jwks_uri": f"{at}/jwks",
                "end_session_endpoint": f"{at}/sign-out",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "scopes_supported": ["openid", "profile", "email"],
                "token_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "ui_locales_supported": list(LANGUAGES),
            }
        )

    async def keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([self._identity.key]).as_dict(private=False))

    async def choose(self, request: Request) -> Response:
        asked = self._read(request.query_params)
        answer = HTMLResponse(page(asked, language(request)))
        allowed = (
            f"form-action 'self' {self._identity.portal_url}"  # browsers hold it against the redirect that follows
        )
        answer.headers["content-security-policy"] = f"{STYLE}; {allowed}"
        answer.headers["cache-control"] = "no-store"
        return answer

    async def authorize(self, request: Request) -> Response:
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        asked = self._read(form)
        sample = chosen(form)
        code = secrets.token_urlsafe(32)
        self._forget_old()
        locale = ENGLISH if form.get("locale") == ENGLISH else CHINESE
        self._grants[code] = Grant(sample, asked, locale, self._now() + CODE_SECONDS)
        answer = {"code": code, "state": asked["state"], "iss": self._identity.issuer}
        return RedirectResponse(f"{self._identity.redirect_uri}?{urlencode(answer)}", 303)

    async def exchange(self, request: Request) -> Response:
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        grant = self._grants.pop(form.get("code", ""), None)  # one use, also when it fails
        if form.get("grant_type") != "authorization_code":
            return fault("unsupported_grant_type")
        if grant is None or self._now() >= grant.expire_time or not self._matches(grant.asked, form):
            return fault("invalid_grant")
        return JSONResponse(self._tokens(grant), headers={"cache-control": "no-store"})

    async def sign_out(self, request: Request) -> Response:
        """There is no session here: one chooses anew each time."""
        back = request.query_params.get("post_logout_redirect_uri", "")
        if back != f"{self._identity.portal_url}/signed-out":
            raise RefusedSignInError("post_logout_redirect_uri: not the portal's")
        return RedirectResponse(back, 303)

    def _read(self, given: Mapping[str, str]) -> dict[str, str]:
        """An unknown client or address is refused here: sending the browser there would be an open redirect."""
        asked = {name: given.get(name, "")[:LONGEST] for name in ASKED}
        expected = {
            "client_id": asked["client_id"] == CLIENT_ID,
            "redirect_uri": asked["redirect_uri"] == self._identity.redirect_uri,
            "response_type": asked["response_type"] == "code",
            "scope": "openid" in asked["scope"].split(),
            "state": bool(asked["state"]),
            "nonce": bool(asked["nonce"]),
            "code_challenge": len(asked["code_challenge"]) == CHALLENGE_LETTERS,
            "code_challenge_method": given.get("code_challenge_method") == "S256",
        }
        for name, good in expected.items():
            if not good:
                raise RefusedSignInError(f"{name}: missing, or not what is registered")
        return asked

    def _matches(self, asked: Mapping[str, str], form: Mapping[str, str]) -> bool:
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        same = all(form.get(name) == asked[name] for name in ("client_id", "redirect_uri"))
        return same and hmac.compare_digest(challenge.encode(), asked["code_challenge"].encode())

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        person = claims(grant.sample, grant.locale)
        access = self._sign({**person, "aud": self._identity.audience})
        identity = self._sign({**person, "aud": CLIENT_ID, "nonce": grant.asked["nonce"]})
        return {"access_token": access, "id_token": identity, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}

    def _sign(self, content: dict[str, Any]) -> str:
        now, key = int(self._now()), self._identity.key
        times = {"iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, {"iss": self._identity.issuer, **content, **times}, key)

    def _forget_old(self) -> None:
        now = self._now()
        self._grants = {code: grant for code, grant in self._grants.items() if grant.expire_time > now}


def chosen(form: Mapping[str, str]) -> Sample:
    """One of those shown, or anybody, by an account, a role and a name. Raises RefusedError."""
    account, role, name = (form.get(field, "").strip() for field in ("account", "role", "name"))
    if not role:
        for sample in SAMPLES:
            if sample.account_id == account:
                return sample
    if role not in ROLES or not 0 < len(account) <= LONGEST_NAME or not account.isprintable():
        raise RefusedSignInError(
            "account: choose one of those shown, or give an account and a role: booker, support, admin"
        )
    return Sample(account, role, name=name[:LONGEST])


def claims(sample: Sample, locale: str) -> dict[str, Any]:
    """As `yunhui login` mints them."""
    return {
        "sub": sample.account_id,
        "name": sample.name or sample.account_id,
        "email": f"{sample.account_id}@example.org",
        "email_verified": True,
        "department": "sample",
        "roles": [sample.role],
        "locale": locale,
    }


def language(request: Request) -> str:
    wished = request.query_params.get("ui_locales") or request.headers.get("accept-language", "")
    return ENGLISH if wished.lower().startswith("en") else CHINESE


def page(asked: Mapping[str, str], language: str) -> str:
    """A button for each sample account; no password."""
    title = message("Sign in for development").to(language)
    sentence = message("This sign-in is for trying things on this machine. Choose who you are; there is no password.")
    kept = {**asked, "code_challenge_method": "S256", "locale": language}
    fields = "\n".join(f'<input type="hidden" name="{escape(n)}" value="{escape(v)}">' for n, v in kept.items())
    buttons = "\n".join(
        f'<button class="who" name="account" value="{each.account_id}"><b>{each.account_id}</b>'
        f"<span>{each.does.to(language)}</span></button>"
        for each in SAMPLES
        if each.does
    )
    others = [
        text.to(language)
        for text in (message("Somebody else"), message("Account"), message("Name"), message("Role"), message("Sign in"))
    ]
    roles = "".join(f"<option>{role}</option>" for role in ROLES)
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{LOOK}</style>
</head>
<body><main><h1>{title}</h1><p class="note">{sentence.to(language)}</p>
<form method="post" action="/authorize">
{fields}
{buttons}
</form>
<details><summary>{others[0]}</summary>
<form method="post" action="/authorize">
{fields}
<label>{others[1]} <input name="account" required maxlength="{LONGEST_NAME}"></label>
<label>{others[2]} <input name="name"></label>
<label>{others[3]} <select name="role">{roles}</select></label>
<button class="primary">{others[4]}</button>
</form></details></main></body></html>
"""


def fault(error: str) -> Response:
    return JSONResponse({"error": error}, 400, headers={"cache-control": "no-store"})


async def refused(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 400)


async def healthy(_: Request) -> Response:
    return PlainTextResponse("ok")
