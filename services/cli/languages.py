"""Which language the command speaks, in one order for sentences, help and errors alike."""

import os
import re

CHINESE, ENGLISH = "zh-CN", "en"
LANGUAGES = (CHINESE, ENGLISH)
VARIABLE = "YUNHUI_LANG"
LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order that POSIX gives them."""
_KNOWN = re.compile(r"(zh|en)([-_.@].*)?", re.IGNORECASE)


def read(name: str) -> str | None:
    """'zh-CN', 'en' or a locale of either, such as en_GB.UTF-8; None for any other, C and POSIX among them."""
    known = _KNOWN.fullmatch(name)
    if known is None:
        return None
    return CHINESE if known[1].lower() == "zh" else ENGLISH


def chosen(option: str | None, signed_in: str) -> str | None:
    """What the person asked for: --lang, else YUNHUI_LANG, else the choice at the sign-in; None without any."""
    for name in (option, os.environ.get(VARIABLE), signed_in):
        if name and (language := read(name)):
            return language
    return None


def of_locale() -> str:
    """What nobody may have chosen comes last: English for an English locale, Chinese for every other."""
    settings = (os.environ.get(name) for name in LOCALE_VARIABLES)
    return read(next(filter(None, settings), "")) or CHINESE
