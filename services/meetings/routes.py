"""Which provider a meeting number leads to: the one with the longest prefix of it, or else the default. Pure.

Written as "tencent, simulated:9": providers, all but the default with a prefix. One may have several.
"""

from collections.abc import Collection, Mapping
from typing import TypeVar

LONGEST_PREFIX = 9  # the shortest numbers have so many digits
T = TypeVar("T")


def read(text: str, known: Collection[str]) -> dict[str, str]:
    """Names of `known` providers by prefix; "" is the default's. Raises ValueError with the way out."""
    routes: dict[str, str] = {}
    for part in text.split(","):
        name, colon, prefix = (each.strip() for each in part.partition(":"))
        if name not in known:
            raise ValueError(f"there is no provider {name!r}: name one or more of {', '.join(known)}")
        if colon and not (prefix.isascii() and prefix.isdigit() and len(prefix) <= LONGEST_PREFIX):
            raise ValueError(f"the prefix of {name} must be 1 to {LONGEST_PREFIX} digits, for example {name}:9")
        if prefix in routes:
            what = f"the prefix {prefix} is given" if prefix else "a provider without a prefix, the default, is named"
            raise ValueError(f"{what} twice: {routes[prefix]} and {name}")
        routes[prefix] = name
    if "" not in routes:
        raise ValueError("one provider must have no prefix: all other numbers lead to it")
    return routes


def lead(routes: Mapping[str, T], meeting_code: str) -> T:
    """`routes` as read() gives them, with anything in the place of names."""
    return routes[max((prefix for prefix in routes if meeting_code.startswith(prefix)), key=len)]
