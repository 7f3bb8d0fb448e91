"""The way out of a refusal: for one rule that fired, the smallest change of the request under which it falls silent.

A rule declares which moves help, if any do. Each goes along one line (a later start, fewer people, ...) on which the
rule first fires and then does not; the turning point is searched there, asking nothing but the rule's own condition.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from services.policy.document import MoveName
from services.policy.periods import PeriodCalendar
from services.policy.questions import MAX_PEOPLE, SECOND, Question
from services.policy.sentences import Sentence

MINUTE = 60 * SECOND
DAYS = 62
FEW_PEOPLE = 10
LATEST_MINUTES = 366 * 24 * 60
LONGEST_MINUTES = 24 * 60

UNITS = {
    "new_start_time": "moment",
    "new_end_time": "moment",
    "new_participant_count": "people",
    "available_from": "moment",
}
"""What the sentence of a remedy may name besides facts and thresholds: what the remedy aims at."""

SECONDS_LATER: dict[MoveName, int] = {
    "another_day": DAYS * 86_400,  # the last one tried is a day sooner: clocks may be put back meanwhile
    "later_start": (LATEST_MINUTES + 1) * 60,
}
"""How much later than the latest start that is known each move may try one; the other moves try none."""

Aims = Mapping[str, int]
"""What is to be different, by the names above; moments in epoch seconds."""

Silent = Callable[[Question], bool]
Move = Callable[[Question, Silent, PeriodCalendar], Question | None]


@dataclass(frozen=True, slots=True)
class CompiledRemedy:
    """What a rule declares as its remedy, prepared. Without moves it is something to do elsewhere."""

    moves: tuple[MoveName, ...]
    zh_cn: Sentence
    en: Sentence
    link: str


def find(moves: Iterable[MoveName], question: Question, silent: Silent, calendar: PeriodCalendar) -> Aims | None:
    """One move if one is enough, else two together; None when the moves do not help."""
    tried = [_MOVES[name] for name in moves]
    for move in tried:
        if changed := move(question, silent, calendar):
            return to_aims(question, changed)
    if len(tried) == 2 and (changed := _both(tried[0], tried[1], question, silent, calendar)):
        return to_aims(question, changed)
    return None


def to_aims(question: Question, changed: Question) -> Aims:
    aims = {}
    if changed.start != question.start:
        aims["new_start_time"] = changed.start // SECOND
    if changed.end != question.end:
        aims["new_end_time"] = changed.end // SECOND
    if changed.participant_count != question.participant_count:
        aims["new_participant_count"] = changed.participant_count
    if changed.now != question.now:
        aims["available_from"] = changed.now // SECOND
    return aims


def least(first: int, last: int, enough: Callable[[int], bool]) -> int | None:
    """The smallest number from `first` to `last` that is enough, where every larger one is too."""
    step, low = 1, first - 1
    while not enough(min(low + step, last)):
        if low + step >= last:
            return None
        low, step = low + step, step * 2
    high = min(low + step, last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _another_day(question: Question, silent: Silent, calendar: PeriodCalendar) -> Question | None:
    """The same time of day, on the next day that is free of the rule."""
    days = (_moved(question, calendar.days_later(question.start // SECOND, day) * SECOND) for day in range(1, DAYS))
    return next((each for each in days if silent(each)), None)


def _later_start(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    """On a whole minute, as long as before."""
    first, length = question.start // MINUTE + 1, question.end - question.start

    def move(changed: Question, minute: int) -> None:
        changed.start, changed.end = minute * MINUTE, minute * MINUTE + length

    return _search(question, silent, move, first, first + LATEST_MINUTES)


def _longer(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    """A whole number of minutes."""

    def move(changed: Question, minutes: int) -> None:
        changed.end = changed.start + minutes * MINUTE

    return _search(question, silent, move, (question.end - question.start) // MINUTE + 1, LONGEST_MINUTES)


def _more_people(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    """One by one and only a few: to be told to come with a hundred (a large meeting, another thing) is no remedy."""
    counts = range(question.participant_count + 1, min(question.participant_count + FEW_PEOPLE, MAX_PEOPLE) + 1)
    return next((each for each in (_for_people(question, count) for count in counts) if silent(each)), None)


def _fewer_people(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    def move(changed: Question, less: int) -> None:
        changed.participant_count = question.participant_count - less

    return _search(question, silent, move, 1, question.participant_count - 1)


def _search(
    question: Question, silent: Silent, move: Callable[[Question, int], None], first: int, last: int
) -> Question | None:
    """The least move from `first` to `last` after which the rule is silent."""
    changed = replace(question)

    def enough(number: int) -> bool:
        move(changed, number)
        return silent(changed)

    number = least(first, last, enough) if first <= last else None
    if number is None:
        return None
    move(changed, number)
    return changed


def _wait(question: Question, silent: Silent, calendar: PeriodCalendar) -> Question | None:
    """The first second from which asking again would pass: the end of a suspension, or when a day begins."""
    moments = {-(-end // SECOND) for _, end in question.suspensions}
    moments |= set(calendar.midnights(question.now // SECOND, question.start // SECOND))
    previous = question.now // SECOND
    for moment in sorted(each for each in moments if each * SECOND > question.now):
        if silent(_asked_at(question, moment)):
            exact = least(previous + 1, moment, lambda each: silent(_asked_at(question, each)))
            return _asked_at(question, moment if exact is None else exact)
        previous = moment
    return None


def _when_free(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    """Booking knows when a room becomes free."""
    if question.next_free is None:
        return None
    changed = replace(_moved(question, question.next_free), free_room_count=1)
    return changed if silent(changed) else None


def _as_held(question: Question, silent: Silent, _: PeriodCalendar) -> Question | None:
    """What is asked for, as far as it is held already: the start stays, and the end if it cannot be earlier."""
    former = question.former
    if former is None or not former.seats:
        return None
    end = question.end if former.start < question.end < former.end else former.end
    people = min(question.participant_count, former.seats)
    changed = replace(question, start=former.start, end=end, participant_count=people)
    return changed if silent(changed) else None


_MOVES: dict[MoveName, Move] = {
    "another_day": _another_day,
    "later_start": _later_start,
    "longer": _longer,
    "more_people": _more_people,
    "fewer_people": _fewer_people,
    "wait": _wait,
    "when_free": _when_free,
    "as_held": _as_held,
}


def _both(one: Move, other: Move, question: Question, silent: Silent, calendar: PeriodCalendar) -> Question | None:
    """The second move helps once the first is made: the least of the first for which that is so."""

    def helped(changed: Question) -> bool:
        return other(changed, silent, calendar) is not None

    first = one(question, helped, calendar)
    return other(first, silent, calendar) if first else None


def _moved(question: Question, start: int) -> Question:
    return replace(question, start=start, end=start + question.end - question.start)


def _for_people(question: Question, count: int) -> Question:
    return replace(question, participant_count=count)


def _asked_at(question: Question, seconds: int) -> Question:
    return replace(question, now=seconds * SECOND)
