"""Which language the command speaks, in one order for sentences, help and errors alike."""

import os

from services.platform.text.languages import CHINESE, read

VARIABLE = "YUNHUI_LANG"
LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order that POSIX gives them."""


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
