"""The languages that there are; Chinese is the first."""

import re

CHINESE, ENGLISH = "zh-CN", "en"
LANGUAGES = (CHINESE, ENGLISH)
LOCALES = {CHINESE: "zh_CN", ENGLISH: "en_GB"}
"""By what name the catalogue and Babel know them."""
_KNOWN = re.compile(r"(zh|en)([-_.@].*)?", re.IGNORECASE)


def read(name: str) -> str | None:
    """'zh-CN', 'en' or a locale of either, such as en_GB.UTF-8; None for any other, C and POSIX among them."""
    known = _KNOWN.fullmatch(name)
    if known is None:
        return None
    return CHINESE if known[1].lower() == "zh" else ENGLISH
