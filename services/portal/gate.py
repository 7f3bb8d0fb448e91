"""The pages around the sign-in, and what a page without a service behind it can still say."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse

from services.portal.attempts import Form
from services.portal.rendering import language_of, render
from services.portal.times import ENGLISH

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Text:
    """One thing to say, in both languages."""

    zh: str
    en: str

    def said(self, language: str) -> str:
        return self.en if language == ENGLISH else self.zh


@dataclass(frozen=True, slots=True)
class Notice:
    """A page: what it is about, what that means, and the words of the way on."""

    title: Text
    sentence: Text
    way: Text = Text("", "")


HOME = Text("回到首页", "To the start page")
AGAIN = Text("再试一次", "Try again")
SIGN_IN = Text("登录", "Sign in")
SEND = Text("再次提交", "Send it again")
SIGNING_IN = Notice(
    Text("正在登录", "Signing in"),
    Text(
        "您的登录已过期。您填写的内容已保留，登录后可继续。",
        "Your sign-in has expired. What you typed is kept for afterwards.",
    ),
    Text("前往登录", "Go on to the sign-in"),
)
SIGNED_IN = Notice(
    Text("已重新登录", "Signed in again"),
    Text(
        "这是您登录过期前填写的内容，尚未提交。",
        "This is what you typed when your sign-in expired. It has not been sent yet.",
    ),
    SEND,
)
TOO_LONG_TO_KEEP = Notice(
    Text("请先重新登录", "Please sign in first"),
    Text(
        "您的登录已过期，填写的内容较长，只保留在这个页面上。请在新的标签页中打开首页并登录，再回到这里提交。",
        "Your sign-in has expired. What you typed is too long to carry along, and is kept on this page only. Please "
        "open the start page in another tab, sign in there, then come back here and send it.",
    ),
    SEND,
)
NOT_SIGNED_IN = Notice(
    Text("登录未完成", "The sign-in was not completed"),
    Text(
        "没有人因此登录。请再试一次；若仍不成功，请联系技术支持。",
        "Nobody was signed in. Please try again; if it fails again, ask support.",
    ),
    AGAIN,
)
SIGNING_OUT = Notice(
    Text("正在退出", "Signing out"),
    Text(
        "您已退出本系统，正在退出统一登录。",
        "You are signed out here, and are now being signed out of the common sign-in.",
    ),
    Text("继续", "Go on"),
)
SIGNED_OUT = Notice(
    Text("已退出", "Signed out"), Text("您已安全退出。", "You are signed out."), Text("重新登录", "Sign in again")
)
ISSUER_AWAY = Notice(
    Text("暂时无法登录", "Signing in does not work just now"),
    Text("登录服务没有响应，页面会自动重试。", "The sign-in service does not answer. This page tries again by itself."),
    AGAIN,
)
STORE_AWAY = Notice(
    Text("暂时不可用", "Away for the moment"),
    Text(
        "系统暂时无法识别您的登录，没有任何改动。请稍后再试。",
        "Your sign-in cannot be recognized just now, and nothing was changed. Please try again.",
    ),
    AGAIN,
)
FORGED = Notice(
    Text("没有提交", "Not sent"),
    Text(
        "这个表单不是从本系统当前登录的页面发出的，因此没有生效。请回到页面重新填写。",
        "This form did not come from a page of your present sign-in, so nothing was done. Please open the page again.",
    ),
    HOME,
)
STALE = Notice(
    Text("尚未提交", "Not sent yet"),
    Text(
        "这个页面是在您此次登录之前打开的。请确认内容后再次提交。",
        "This page was opened before your present sign-in. Please look at it again, and send it.",
    ),
    SEND,
)
TOO_LARGE = Notice(Text("内容太长", "Too long"), Text("请缩短后再提交。", "Please shorten it and send it again."), HOME)
NOT_FOUND = Notice(
    Text("没有这个页面", "There is no such page"), Text("地址可能已更改。", "Its address may have changed."), HOME
)
WRONG_METHOD = Notice(
    Text("不能这样打开", "This cannot be opened like that"),
    Text("请从首页重新进入。", "Please begin at the start page."),
    HOME,
)
FAILED = Notice(
    Text("出错了", "Something went wrong"),
    Text("这是我们的错误，已记录。请稍后再试。", "The fault is ours, and it was written down. Please try again later."),
    HOME,
)


def show(
    request: Request, notice: Notice, status: int = 200, *, target: str = "/", form: Form | None = None
) -> HTMLResponse:
    """A notice with the way on: a link to `target`, or `form` filled in as it was, to be sent again."""
    language = language_of(request)
    page = render(
        request,
        "gate.html",
        status,
        title=notice.title.said(language),
        sentence=notice.sentence.said(language),
        way=notice.way.said(language),
        target=target,
        form=form,
    )
    if status == 503:
        page.headers["retry-after"] = str(RETRY_SECONDS)
    return page


def lead_on(request: Request, notice: Notice, target: str) -> HTMLResponse:
    """On to another site after a form: browsers hold `form-action` against a redirect, and not against this."""
    answer = show(request, notice, target=target)
    answer.headers["refresh"] = f"0; url={target}"
    return answer
