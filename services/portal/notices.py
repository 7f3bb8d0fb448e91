"""The pages around the sign-in, and what a page without a service behind it can still say."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse
from yunhui.access.v1.access_pb2 import Joining

from services.platform.text.messages import Text, message
from services.portal.attempts import Form
from services.portal.csrf import SAFE
from services.portal.rendering import language_of, render
from services.portal.sessions import Person

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """A page: what it is about, what that means, and the words of the way on."""

    title: Text
    sentence: Text
    way: Text | None = None


HOME = message("To the start page")
AGAIN = message("Try again")
SIGN_IN = message("Sign in")
SEND = message("Send it again")
SIGNING_IN = Notice(
    message("Signing in"),
    message("Your sign-in has expired. What you typed is kept for afterwards."),
    message("Go on to the sign-in"),
)
SIGNED_IN = Notice(
    message("Signed in again"),
    message("This is what you typed when your sign-in expired. It has not been sent yet."),
    SEND,
)
TOO_LONG_TO_KEEP = Notice(
    message("Please sign in first"),
    message(
        "Your sign-in has expired. What you typed is too long to carry along, and is kept on "
        "this page only. Please open the start page in another tab, sign in there, then come "
        "back here and send it."
    ),
    SEND,
)
NOT_SIGNED_IN = Notice(
    message("The sign-in was not completed"),
    message("Nobody was signed in. Please try again; if it fails again, ask support."),
    AGAIN,
)
SIGNING_OUT = Notice(
    message("Signing out"),
    message("You are signed out here, and are now being signed out of the common sign-in."),
    message("Go on"),
)
SIGNED_OUT = Notice(message("Signed out"), message("You are signed out."), message("Sign in again"))
ISSUER_AWAY = Notice(
    message("Signing in does not work just now"),
    message("The sign-in service does not answer. This page tries again by itself."),
    AGAIN,
)
STORE_AWAY = Notice(
    message("Away for the moment"),
    message("Your sign-in cannot be recognized just now, and nothing was changed. Please try again."),
    AGAIN,
)
FORGED = Notice(
    message("Not sent"),
    message(
        "This form did not come from a page of your present sign-in, so nothing was done. Please open the page again."
    ),
    HOME,
)
STALE = Notice(
    message("Not sent yet"),
    message("This page was opened before your present sign-in. Please look at it again, and send it."),
    SEND,
)
DISABLED = Notice(
    message("Your account is disabled"),
    message("Nothing can be done with it for the time being. Please ask an administrator of your organization."),
    HOME,
)
IMPOSSIBLE = Notice(
    message("Your account cannot be used here"),
    message(
        "Its id is an e-mail address, or has spaces around it, so that it cannot become a member's. Please ask an "
        "administrator of your organization."
    ),
    HOME,
)
TOO_LARGE = Notice(message("Too long"), message("Please shorten it and send it again."), HOME)
NOT_FOUND = Notice(message("There is no such page"), message("Its address may have changed."), HOME)
WRONG_METHOD = Notice(
    message("This cannot be opened like that"),
    message("Please begin at the start page."),
    HOME,
)
FAILED = Notice(
    message("Something went wrong"),
    message("The fault is ours, and it was written down. Please try again later."),
    HOME,
)


def show(
    request: Request, notice: Notice, status: int = 200, *, target: str = "/", form: Form | None = None
) -> HTMLResponse:
    """A notice with the way on: a link to `target`, or `form` filled in as it was, to be sent again."""
    language = language_of(request)
    page = render(
        request,
        "notice.html",
        status,
        title=notice.title.to(language),
        sentence=notice.sentence.to(language),
        way=notice.way.to(language) if notice.way else "",
        target=target,
        form=form,
    )
    if status == 503:
        page.headers["retry-after"] = str(RETRY_SECONDS)
    return page


def show_waiting(request: Request, person: Person, joining: Joining, target: str) -> HTMLResponse:
    """What somebody sees who has to be let in first, and whom they can ask."""
    if request.method not in SAFE:
        target = "/"
    return render(request, "waiting.html", 403, waiting=person, joining=joining, target=target)


def lead_on(request: Request, notice: Notice, target: str) -> HTMLResponse:
    """On to another site after a form: browsers hold `form-action` against a redirect, and not against this."""
    answer = show(request, notice, target=target)
    answer.headers["refresh"] = f"0; url={target}"
    return answer
