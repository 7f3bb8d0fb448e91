"""What is reported of a meeting makes the same rows in whatever order it comes, and however often."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.meetings import heard, ledger
from services.meetings.ledger_models import MEETING, VISIT, MeetingRow
from services.meetings.provider import ListedMeeting, MeetingKey, MeetingKind, Participant, Phase, Stay
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import DAY, HOUR, MINUTE
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from tests.meetings.builders import HandClock

NOW = HandClock().time
NUMBERS = itertools.count(1)
DERIVED_FROM_NOW = {"id", "version", "as_of", "meeting_id", "meeting_row"}


def new_key(sub_meeting_id: str = "") -> MeetingKey:
    return MeetingKey("simulated", f"m{next(NUMBERS)}", sub_meeting_id)


def event(kind: Kind, key: MeetingKey, at: int, person: str = "", **more: object) -> WebhookEvent:
    made = WebhookEvent(kind, key, at, (person, str(more)), person_id=person, account=person, display_name=person)
    return replace(made, **more)  # type: ignore[arg-type] # its own fields


def store(database: Database, webhook_events: WebhookEvents, events: Sequence[WebhookEvent]) -> None:
    with database.engine.begin() as connection:
        webhook_events.store(connection, list(events))


def row_of(database: Database, key: MeetingKey) -> MeetingRow:
    with database.engine.begin() as connection, open_session(connection) as session:
        found = ledger.find(session, key)
        assert found
        return found


def stored(database: Database, key: MeetingKey) -> tuple[dict[str, object], list[tuple[object, ...]]]:
    """All that is kept of it, but for what says when and how often it was written."""
    row = row_of(database, key)
    kept = {name: value for name, value in row.model_dump().items() if name not in DERIVED_FROM_NOW}
    v = VISIT.c
    columns = (v.person, v.terminal, v.account, v.display_name, v.enter_time, v.left_mark, v.leave_time)
    with database.engine.begin() as connection:
        visits = connection.execute(sa.select(*columns).where(v.meeting_row == row.id)).all()
    return kept, sorted((tuple(each) for each in visits), key=str)


TIMES = st.integers(NOW - 20, NOW - 1)
EVENTS = st.one_of(
    st.tuples(st.just(Kind.ENTERED), TIMES, st.sampled_from(["", "ann", "bob"]), st.sampled_from(["pc", "phone"])),
    st.tuples(st.just(Kind.LEFT), TIMES, st.sampled_from(["ann", "bob"]), st.sampled_from(["pc", "phone", "all"])),
    st.tuples(st.sampled_from([Kind.ENDED, Kind.CANCELLED]), TIMES, st.just(""), st.just("")),
    st.tuples(st.just(Kind.CHANGED), TIMES, st.just(""), st.sampled_from(["10", "20"])),
)


def made(key: MeetingKey, kind: Kind, at: int, person: str, detail: str) -> WebhookEvent:
    if kind is Kind.CHANGED:
        end = NOW + int(detail) - 15  # before now, or after it
        return event(kind, key, at, start_time=end - HOUR, end_time=end, subject=f"plan {detail}")
    if detail == "all":
        return event(kind, key, at, everybody_left=True)
    return event(kind, key, at, person, terminal=detail)


@given(told=st.lists(EVENTS, min_size=1, max_size=12), seed=st.integers(0, 2**32))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_order_in_which_things_are_told_does_not_matter(
    database: Database,
    webhook_events: WebhookEvents,
    told: list[tuple[Kind, int, str, str]],
    seed: int,
) -> None:
    """Nor how often, nor how many at once; and what follows is what a plain model says."""
    dice, results = random.Random(seed), []
    for _ in range(3):
        key = new_key()
        events = [made(key, *each) for each in told]
        dice.shuffle(events)
        events += dice.sample(events, len(events) // 2)
        while events:
            size = dice.randint(1, len(events))
            store(database, webhook_events, events[:size])
            events = events[size:]
        results.append(stored(database, key))
    assert results[0] == results[1] == results[2]
    row, visits = results[0]
    assert (row["phase"], row["inside_count"], row["came_count"]) == model(told)
    assert {(each[0], each[1], each[4]) for each in visits if each[4]} == {
        (person, device, at) for kind, at, person, device in told if kind is Kind.ENTERED and person
    }


def model(told: list[tuple[Kind, int, str, str]]) -> tuple[str, int, int]:
    """Phase, inside and came, thought out anew: moment by moment, from the first to the last."""
    of = {kind: [each for each in told if each[0] is kind] for kind in Kind}
    emptied = [at for _, at, _, _ in of[Kind.ENDED]] + [at for _, at, _, d in of[Kind.LEFT] if d == "all"]
    empty, inside = max(emptied, default=0), 0
    left = [each for each in of[Kind.LEFT] if each[3] != "all"]
    for place in {(person, device) for _, _, person, device in of[Kind.ENTERED] if person}:
        inside += is_inside(
            {at for _, at, *who in of[Kind.ENTERED] if tuple(who) == place},
            {at for _, at, *who in left if tuple(who) == place},
            empty,
        )
    named = [at for _, at, person, _ in of[Kind.ENTERED] if person and at >= empty]
    nameless = [at for _, at, person, _ in of[Kind.ENTERED] if not person and at > empty]
    inside = 1 if nameless and not named else inside
    over_at = max((at for _, at, _, _ in of[Kind.ENDED]), default=0)
    inside = 0 if over_at and over_at >= max((at for _, at, _, _ in of[Kind.ENTERED]), default=0) else inside
    people = {person for _, _, person, _ in [*of[Kind.ENTERED], *left] if person}
    came = max(len(people), 1 if of[Kind.ENTERED] or of[Kind.LEFT] else 0)
    changes = [(at, detail) for _, at, _, detail in of[Kind.CHANGED]]
    planned, detail = max(changes, default=(0, ""))
    if inside:
        return "RUNNING", inside, came
    called_off = max((at for _, at, _, _ in of[Kind.CANCELLED]), default=0)
    if called_off and called_off >= planned and not came:
        return "CANCELLED", 0, came
    ended = max((at for _, at, _, _ in of[Kind.ENDED]), default=0)
    over = detail == "10" if detail else bool(came) or planned + DAY <= NOW
    return ("ENDED" if over or (ended and ended >= planned) else "COMING"), 0, came


def is_inside(entered: set[int], left: set[int], empty: int) -> bool:
    """Each entry takes the first leaving that comes with or after it, and not after the next entry."""
    free, entries = sorted(left), sorted(entered)
    for number, entry in enumerate(entries):
        following = entries[number + 1 : number + 2]
        mine = [each for each in free if each >= entry and all(each <= then for then in following)][:1]
        free = [each for each in free if each not in mine]
        last = not following and not mine and not entry < empty
    return last


def test_a_meeting_that_nobody_knew_gets_a_row_from_what_happens_to_it(
    database: Database, webhook_events: WebhookEvents
) -> None:
    key = new_key()
    told = event(Kind.ENTERED, key, NOW - MINUTE, "ann", meeting_code="123456789", subject="ΣΑΣ", creator="li")
    store(database, webhook_events, [told])
    row = row_of(database, key)
    assert (row.phase, row.meeting_code, row.subject, row.creator) == ("RUNNING", "123456789", "ΣΑΣ", "li")
    assert (row.subject_folded, row.actual_start, row.actual_end) == ("σασ", NOW - MINUTE, None)
    assert (row.inside_count, row.came_count, row.as_of) == (1, 1, NOW)


def test_people_come_at_several_devices_go_and_come_back(database: Database, webhook_events: WebhookEvents) -> None:
    key = new_key()
    pc, phone = (event(Kind.ENTERED, key, NOW - 90, "ann", terminal=each) for each in ("PC", "PHONE"))
    store(database, webhook_events, [pc, phone])
    assert (row_of(database, key).inside_count, row_of(database, key).came_count) == (2, 1)
    store(database, webhook_events, [event(Kind.LEFT, key, NOW - 80, "ann", terminal="PC")])
    assert row_of(database, key).inside_count == 1
    store(database, webhook_events, [event(Kind.LEFT, key, NOW - 70, "ann", terminal="PHONE", everybody_left=True)])
    row = row_of(database, key)
    assert (row.phase, row.inside_count, row.actual_start, row.actual_end) == ("ENDED", 0, NOW - 90, NOW - 70)
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 60, "bob", terminal="PC")])
    row = row_of(database, key)
    assert (row.phase, row.inside_count, row.came_count, row.actual_end) == ("RUNNING", 1, 2, None)


def test_versions_rise_with_changes_and_with_nothing_else(database: Database, webhook_events: WebhookEvents) -> None:
    key = new_key()
    entered = event(Kind.ENTERED, key, NOW - 90, "ann")
    store(database, webhook_events, [entered])
    first = row_of(database, key).version
    store(database, webhook_events, [entered])
    assert row_of(database, key).version == first
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 80, "bob")])
    assert row_of(database, key).version == first + 1


def listed(key: MeetingKey, phase: Phase, start: int, end: int, people: int | None = None) -> ListedMeeting:
    return ListedMeeting(key, phase, "123456789", "组会", "li", "李", MeetingKind.SINGLE, start, end, people)


def hear(database: Database, at: int, *rows: ListedMeeting) -> None:
    with database.engine.begin() as connection, open_session(connection) as session:
        ledger.lock(connection)
        heard.hear(session, rows, at, NOW)


def test_lists_complete_what_events_leave_open(database: Database, webhook_events: WebhookEvents) -> None:
    """Of what runs, the list says how many are inside; what is reported later counts from there."""
    key = new_key()
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 100, "ann")])
    hear(database, NOW - 50, listed(key, Phase.RUNNING, NOW - HOUR, NOW + HOUR, people=7))
    row = row_of(database, key)
    assert (row.inside_count, row.came_count, row.subject, row.creator_name) == (7, 7, "组会", "李")
    assert (row.start_time, row.end_time, row.kind) == (NOW - HOUR, NOW + HOUR, "SINGLE")
    store(database, webhook_events, [event(Kind.LEFT, key, NOW - 60, "ann")])  # the list knew that
    assert row_of(database, key).inside_count == 7
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 40, "bob")])
    assert row_of(database, key).inside_count == 8
    store(database, webhook_events, [event(Kind.ENDED, key, NOW - 10)])
    row = row_of(database, key)
    assert (row.phase, row.inside_count, row.actual_end) == ("ENDED", 0, NOW - 10)


def test_one_that_is_listed_as_ended_several_times_is_one(database: Database) -> None:
    """Once for each time that people were in."""
    key = new_key()
    first = listed(key, Phase.ENDED, NOW - 5 * HOUR, NOW - 4 * HOUR, people=3)
    second = listed(key, Phase.ENDED, NOW - 3 * HOUR, NOW - 2 * HOUR, people=9)
    hear(database, NOW, second, first)
    hear(database, NOW, first)
    row = row_of(database, key)
    assert (row.phase, row.came_count) == ("ENDED", 9)
    assert (row.actual_start, row.actual_end) == (NOW - 5 * HOUR, NOW - 2 * HOUR)


def test_all_occurrences_go_with_the_whole_meeting(database: Database, webhook_events: WebhookEvents) -> None:
    whole = new_key()
    parts = [replace(whole, sub_meeting_id=each) for each in ("1", "2")]
    hear(database, NOW - 9, *(listed(each, Phase.COMING, NOW + HOUR, NOW + 2 * HOUR) for each in parts))
    store(database, webhook_events, [event(Kind.CANCELLED, whole, NOW - 5)])
    assert [row_of(database, each).phase for each in parts] == ["CANCELLED", "CANCELLED"]
    with database.engine.begin() as connection:
        those = sa.select(sa.func.count()).select_from(MEETING).where(MEETING.c.meeting_id == whole.meeting_id)
        assert connection.scalar(those) == 2


def test_who_came_is_as_the_provider_says_in_the_end(database: Database, webhook_events: WebhookEvents) -> None:
    """What was reported of the time before counts no more; who enters later makes it incomplete again."""
    key = new_key()
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 90, "ann"), event(Kind.ENDED, key, NOW - 50)])
    row = row_of(database, key)
    assert row.visits_due == NOW - 50 + MINUTE
    people = [
        Participant("ann", "Ann", (Stay(NOW - 95, NOW - 60),)),
        Participant("", "A\0guest", (Stay(NOW - 94, NOW),)),
    ]
    with database.engine.begin() as connection, open_session(connection) as session:
        row = ledger.find(session, key) or row
        heard.complete(session, row, people, NOW - HOUR, NOW - 20, NOW)
    row = row_of(database, key)
    assert (row.visits_complete, row.visits_due, row.came_count, row.actual_end) == (True, 0, 2, NOW)
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 88, "late")])
    assert row_of(database, key).came_count == 2
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW - 10, "bob")])
    row = row_of(database, key)
    assert (row.visits_complete, row.phase, row.came_count) == (False, "RUNNING", 3)


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 3000, "ß" * 500])
def test_what_meetings_are_called_can_be_stored(database: Database, webhook_events: WebhookEvents, text: str) -> None:
    key = new_key()
    store(database, webhook_events, [event(Kind.ENTERED, key, NOW, "ann", subject=f"a{text}", display_name=f"b{text}")])
    assert row_of(database, key).subject.startswith("a")
