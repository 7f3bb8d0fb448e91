"""Names as people look for them: Chinese ones by character, pinyin or initials; capitals do not matter.

pypinyin is loaded with the first Chinese name: its phrases take 50 MB.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import combinations, islice, product

from services.directory.surnames import surname

MOST_READINGS = 8
"""Of a name in which characters are read in several ways."""
MOST_WORDS = 8_192
"""Whose readings are remembered."""

Syllables = list[list[str]]
"""Of each character how it may be read, the likeliest first."""


def to_order(person: str) -> str:
    """By what people are sorted: Chinese names by pinyin, in the order of their characters where that is the same."""
    if person.isascii():
        return f"{person.casefold()} {person}"
    characters, read = surname(person)
    rest = [way for ways in _read(person[len(characters) :], tones=True) for way in ways[:1]]
    return " ".join((*read, *rest)).casefold() + " " + person


def to_text(names: Iterable[str], others: Iterable[str] = (), read: Callable[[str], Syllables] | None = None) -> str:
    """All that one is found by, a line each, between line breaks: `names` also by pinyin and initials.

    `read`: `as_words` unless it is told otherwise, `as_person` for people.
    """
    lines = dict.fromkeys(line for name in names for line in (name, *readings((read or as_words)(name))))
    lines |= dict.fromkeys(other for other in others if other)
    return "\n" + "\n".join(lines).casefold() + "\n"


def to_lines(names: Iterable[str], read: Callable[[str], Syllables]) -> list[str]:
    """Those of to_text, when nothing else is known."""
    return to_text(names, read=read).split("\n")[1:-1]


def as_words(name: str) -> Syllables:
    """Of what is no person: 重庆 is chong qing. Nothing where nothing is Chinese."""
    return [] if name.isascii() else _read(name.replace(" ", ""))


def as_person(name: str) -> Syllables:
    """As `as_words`, but what it begins with is read as a surname where that has a reading of its own: 单 is shan."""
    characters, read = surname(name)
    if not read:
        return as_words(name)
    usual = _read(characters)
    first = [[syllable.rstrip("1234"), *others] for syllable, others in zip(read, usual, strict=True)]
    return [[*dict.fromkeys(each)] for each in first] + as_words(name[len(characters) :])


def _read(characters: str, *, tones: bool = False) -> Syllables:
    """With `tones`, their numbers stand behind the syllables."""
    from pypinyin.seg.simpleseg import seg

    return [ways for word in seg(characters) for ways in _read_word(word, tones=tones)]


@lru_cache(MOST_WORDS)
def _read_word(word: str, *, tones: bool) -> Syllables:
    """One of pypinyin's words, of which a character by itself is one: names share them, and each takes it 50 µs."""
    from pypinyin import Style, pinyin

    return pinyin([word], style=Style.TONE3 if tones else Style.NORMAL, heteronym=True)


def readings(syllables: Syllables) -> Iterator[str]:
    """Pinyin and initials of some readings, the likeliest first."""
    for reading in islice(_combined(syllables), MOST_READINGS):
        yield "".join(reading)
        yield "".join(syllable[:1] for syllable in reading)


def _combined(syllables: Syllables) -> Iterator[list[str]]:
    """First all as they are likeliest, then with one read otherwise, then with two, ..."""
    several = [place for place, ways in enumerate(syllables) if len(ways) > 1]
    for number in range(len(several) + 1 if syllables else 0):
        for places in combinations(several, number):
            for chosen in product(*(syllables[place][1:] for place in places)):
                reading = [ways[0] for ways in syllables]
                for place, way in zip(places, chosen, strict=True):
                    reading[place] = way
                yield reading


def to_patterns(query: str) -> list[str]:
    """LIKE patterns, with backslash as their escape: each word must occur. The longest first, which most lack."""
    words = sorted(dict.fromkeys(query.casefold().split()), key=len, reverse=True)
    return [f"%{_escaped(word)}%" for word in words]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
