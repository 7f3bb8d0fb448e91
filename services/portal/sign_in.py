"""Signing in and out: every attempt is bound to one browser, every session begins with a secret nobody knew before."""

import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import wraps
from urllib.parse import quote, urlsplit

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from yunhui.directory.v1.member_service_pb2 import RecordSignInRequest

from services.portal import csrf, notices
from services.portal.attempts import ATTEMPT_SECONDS, Attempt, Form, Kept, Seal
from services.portal.client import Services
from services.portal.oidc import Issuer, IssuerAwayError, SignInError
from services.portal.rendering import language_of
from services.portal.sessions import Person, Sessions

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

CALLBACK = "/sign-in/callback"
SIGN_OUT, SIGNED_OUT = "/sign-out", "/signed-out"
KEPT_FORM = "/sign-in/form"
MOST_ATTEMPTS, MOST_LETTERS = 4, 6000
"""In one browser at a time: their cookies travel with every request, and proxies take 8 KB of them."""
LONGEST_PATH = 2000
TELL_SECONDS = 2.0
STATE = re.compile(r"[A-Za-z0-9]{16,128}")


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and attributes. Over https the names bind a cookie to this very host (__Host-)."""

    secure: bool

    @property
    def session(self) -> str:
        return "__Host-yunhui" if self.secure else "yunhui"

    @property
    def attempt(self) -> str:
        return self.session + "-sign-in-"

    @property
    def form(self) -> str:
        """What was typed before a sign-in that is over."""
        return self.attempt + "form"

    def set(self, answer: Response, name: str, value: str, max_age: int | None = None) -> None:
        answer.set_cookie(name, value, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="lax")

    def forget(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def required(endpoint: Endpoint) -> Endpoint:
    """For pages of those who are signed in; whoever is not comes back after signing in, with all that was typed."""

    @wraps(endpoint)
    async def signed_in(request: Request) -> Response:
        return await (again(request) if request.state.person is None else endpoint(request))

    return signed_in


async def again(request: Request) -> Response:
    """What somebody gets who must sign in: also for a token that a service no longer accepts."""
    if request.headers.get("hx-request") and not request.headers.get("hx-boosted"):
        return Response(status_code=401)  # a part of a page: what stands there stays, and the next click leads on
    if request.method in csrf.SAFE:
        return RedirectResponse(f"/sign-in?next={quote(here(request), safe='/')}", 303)
    sign_in: SignIn = request.app.state.sign_in
    return await sign_in.keep(request, await typed(request))


def here(request: Request) -> str:
    path, query = request.scope["path"], request.url.query
    return local(quote(path, safe="/:@!$&'()*+,;=~-._") + (f"?{query}" if query else ""))


def local(path: str) -> str:
    """A path of our own, or the start page: never another site, however it is written."""
    parts = urlsplit(path) if path.isprintable() and len(path) <= LONGEST_PATH else None
    own = parts and not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith("//")
    return path if own and "\\" not in path else "/"


async def typed(request: Request) -> Form:
    fields = (await request.form()).multi_items()
    return Form(here(request), [(name, text) for name, text in fields if name != csrf.FIELD and isinstance(text, str)])


async def tell_directory(request: Request, person: Person) -> None:
    """That they have signed in. Nobody stays outside because it could not be told."""
    services: Services = request.app.state.services
    asked, metadata = RecordSignInRequest(), services.metadata(person)
    try:
        await services.members.RecordSignIn(asked, metadata=metadata, timeout=TELL_SECONDS)
    except grpc.aio.AioRpcError as error:
        log.warning("the directory was not told of a sign-in: %s", error.code().name)


class SignIn:
    """The addresses of signing in and out."""

    def __init__(
        self,
        issuer: Issuer,
        sessions: Sessions,
        key: bytes,
        portal_url: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._attempts, self._forms = Seal(key, Attempt), Seal(key, Kept)
        self._portal_url = portal_url
        self._now = now
        self.cookies = Cookies(secure=portal_url.startswith("https:"))

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.begin),
            Route(CALLBACK, self.complete),
            Route(KEPT_FORM, required(self.show_form)),
            Route(SIGN_OUT, self.sign_out, methods=["POST"]),
            Route(SIGNED_OUT, self.signed_out),
        ]

    async def begin(self, request: Request) -> Response:
        """Also for those who are signed in: it is where one goes when a service no longer accepts one's token."""
        path = local(request.query_params.get("next", "/"))
        try:
            address, secret = await self._attempt(request, path, None)
        except IssuerAwayError as error:
            return self._away(request, error)
        return self._with_attempt(request, RedirectResponse(address, 303), address, secret)

    async def keep(self, request: Request, form: Form) -> Response:
        """The way to sign in for whoever sent a form; it is there again afterwards."""
        try:
            address, secret = await self._attempt(request, "/", form)
        except IssuerAwayError as error:
            log.error("the issuer is away: %s", error)
            return notices.show(request, notices.ISSUER_AWAY, 503, form=form)
        if not secret:
            return notices.show(request, notices.TOO_LONG_TO_KEEP, 403, form=form)
        return self._with_attempt(request, notices.lead_on(request, notices.SIGNING_IN, address), address, secret)

    async def complete(self, request: Request) -> Response:
        """The issuer's answer. It counts once, in the browser that asked, and only with the state that was sent."""
        state = request.query_params.get("state", "")
        name = self._cookie_of(state)
        attempt = self._recognize(request.cookies.get(name, ""), state) if name else None
        if attempt is None:
            log.warning("a sign-in is refused: its state is not one of this browser's")
            return notices.show(request, notices.NOT_SIGNED_IN, 400, target="/sign-in")
        try:
            granted = await self._issuer.redeem(attempt.challenge, dict(request.query_params))
        except (IssuerAwayError, SignInError) as error:
            log.warning("a sign-in is refused: %s", error)
            answer = await self._retry(request, attempt, 503 if isinstance(error, IssuerAwayError) else 400)
        else:
            await self._sessions.end(request.cookies.get(self.cookies.session, ""))
            secret = await self._sessions.begin(granted)
            await tell_directory(request, granted.person)
            answer = RedirectResponse(KEPT_FORM if attempt.form else attempt.next_path, 303)
            self.cookies.set(answer, self.cookies.session, secret)
            if attempt.form:
                kept = self._forms.close(Kept(attempt.form, attempt.begin_time))
                self.cookies.set(answer, self.cookies.form, kept, ATTEMPT_SECONDS)
        self.cookies.forget(answer, name)
        return answer

    async def show_form(self, request: Request) -> Response:
        """What was typed when the last session ended, to be looked at and sent. Nothing is sent by itself."""
        kept = self._forms.open(request.cookies.get(self.cookies.form, ""))
        if kept is None or not self._is_fresh(kept.begin_time):
            return RedirectResponse("/", 303)
        return notices.show(request, notices.SIGNED_IN, form=kept.form)

    async def sign_out(self, request: Request) -> Response:
        """Here first, whatever the issuer does."""
        await self._sessions.end(request.state.session_secret)
        try:
            farewell = await self._issuer.farewell(self._portal_url + SIGNED_OUT)
        except IssuerAwayError as error:
            log.warning("the issuer is away and was not told of a sign-out: %s", error)
            farewell = ""
        request.state.person = None
        if farewell:
            answer: Response = notices.lead_on(request, notices.SIGNING_OUT, farewell)
        else:
            answer = RedirectResponse(SIGNED_OUT, 303)
        self.cookies.forget(answer, self.cookies.session)
        self.cookies.forget(answer, self.cookies.form)
        return answer

    async def signed_out(self, request: Request) -> Response:
        return notices.show(request, notices.SIGNED_OUT, target="/sign-in")

    async def _attempt(self, request: Request, path: str, form: Form | None) -> tuple[str, str]:
        """The issuer's address to go to, and what the browser keeps meanwhile; "" when the form is too long for it."""
        address, challenge = await self._issuer.challenge(language_of(request))
        attempt = Attempt(challenge, path, form, self._now())
        sealed = self._attempts.close(attempt)
        return address, sealed if sealed or form else self._attempts.close(replace(attempt, next_path="/"))

    def _with_attempt(self, request: Request, answer: Response, address: str, secret: str) -> Response:
        kept = {name: len(text) for name, text in request.cookies.items() if name.startswith(self.cookies.attempt)}
        while kept and (len(kept) >= MOST_ATTEMPTS or sum(kept.values()) + len(secret) > MOST_LETTERS):
            self.cookies.forget(answer, oldest := next(iter(kept)))
            del kept[oldest]
        state = re.search(r"[?&]state=([^&]+)", address)
        self.cookies.set(answer, self._cookie_of(state[1] if state else ""), secret, ATTEMPT_SECONDS)
        return answer

    def _cookie_of(self, state: str) -> str:
        return self.cookies.attempt + state[:12] if STATE.fullmatch(state) else ""

    def _recognize(self, secret: str, state: str) -> Attempt | None:
        """The attempt that this is the answer to. The browser forgets it then, and the issuer takes a code once."""
        attempt = self._attempts.open(secret)
        if attempt is None or not self._is_fresh(attempt.begin_time):
            return None
        return attempt if hmac.compare_digest(attempt.challenge.state, state) else None

    def _is_fresh(self, begin_time: float) -> bool:
        return self._now() < begin_time + ATTEMPT_SECONDS

    async def _retry(self, request: Request, attempt: Attempt, status: int) -> Response:
        """What was typed goes with the next attempt."""
        notice = notices.NOT_SIGNED_IN if status == 400 else notices.ISSUER_AWAY
        if attempt.form is None:
            return notices.show(request, notice, status, target=f"/sign-in?next={quote(attempt.next_path, safe='/')}")
        try:
            address, secret = await self._attempt(request, attempt.next_path, attempt.form)
        except IssuerAwayError:
            secret = ""
        if not secret:
            return notices.show(request, notice, status, form=attempt.form)
        return self._with_attempt(request, notices.show(request, notice, status, target=address), address, secret)

    def _away(self, request: Request, error: IssuerAwayError) -> Response:
        log.error("the issuer is away: %s", error)
        answer = notices.show(request, notices.ISSUER_AWAY, 503, target=here(request))
        answer.headers["refresh"] = str(notices.RETRY_SECONDS)
        return answer
