"""What a reservation stands committed to: a start that is given up late is as good as cancelled late.

Giving time back at the front goes on with the same commitment, another time ends it. What is late, the policy says.
"""

from dataclasses import dataclass

from services.policy.questions import FormerStart, FormerStarts, Question

ALWAYS = 2**64
"""As a span: whenever a start is given up, it is late."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """`since` is the start that lateness is measured from; `left` are those given up late for another time."""

    since: int
    left: tuple[int, ...] = ()


def commitment(start: int, former: FormerStarts, late: int) -> Commitment:
    """Of what starts at `start` now; a start is given up late when less than `late` nanoseconds are left until it."""
    since, left = None, []
    for each in former:
        begun = each.start if since is None else since
        is_late = begun - each.left < late
        goes_on = each.given_back and each.left <= begun  # put off after the start, it kept a room with nobody there
        since = begun if is_late and goes_on else None
        if is_late and not goes_on:
            left.append(begun)
    return Commitment(start if since is None else since, tuple(left))


def so_far(question: Question, late: int) -> Commitment:
    """Of the reservation in question, before a change."""
    return commitment(question.former.start if question.former else question.start, question.former_starts, late)


def as_asked(question: Question, late: int) -> Commitment:
    """Of the reservation in question, with the change that is asked for."""
    former, starts = question.former, question.former_starts
    if former and question.start != former.start:
        starts = (*starts, FormerStart(former.start, question.now, _lies_within(question)))
    return commitment(question.start, starts, late)


def least_lead(question: Question) -> int:
    """The shortest time ahead with which any part of the reservation was given up, when the rest of it is now."""
    lead = question.start - question.now
    for each in reversed(question.former_starts):
        if not each.given_back or each.left > each.start:
            break
        lead = min(lead, each.start - each.left)
    return lead


def extends(question: Question) -> bool:
    """Whether anything is asked for that is not held: other time, another room, a room at all.

    What holds no room yet is what support was asked for: more of that is more, too.
    """
    former = question.former
    if former is None or question.takes_room or not _lies_within(question):
        return True
    return question.participant_count > (former.seats or former.people)


def _lies_within(question: Question) -> bool:
    former = question.former
    return former is not None and former.start <= question.start and question.end <= former.end
