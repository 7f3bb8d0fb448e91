"""How answers look to people: decisions with every rule, reservations, rooms. Only prints; asks nobody."""

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.policy.v1 import decision_pb2 as policy

from services.cli import moments, texts, words
from services.cli.languages import CHINESE
from services.cli.terminal import Terminal
from services.cli.texts import Text

OUTCOMES: Mapping[int, tuple[Text, str]] = {
    pb.OUTCOME_CONFIRMED: (texts.CONFIRMED, "bold green"),
    pb.OUTCOME_PENDING_APPROVAL: (texts.PENDING, "bold yellow"),
    pb.OUTCOME_REDIRECTED: (texts.REDIRECTED, "bold yellow"),
    pb.OUTCOME_DENIED: (texts.DENIED, "bold red"),
}
EFFECTS: Mapping[int, tuple[Text, str]] = {
    policy.EFFECT_ALLOW: (texts.ALLOWED_EFFECT, "green"),
    policy.EFFECT_ESCALATE: (texts.ESCALATE_EFFECT, "yellow"),
    policy.EFFECT_REDIRECT: (texts.REDIRECT_EFFECT, "yellow"),
    policy.EFFECT_DENY: (texts.DENY_EFFECT, "red"),
}
STATES: Mapping[int, Text] = {
    pb.RESERVATION_STATE_PENDING_APPROVAL: texts.STATE_PENDING,
    pb.RESERVATION_STATE_CONFIRMED: texts.STATE_CONFIRMED,
    pb.RESERVATION_STATE_IN_USE: texts.STATE_IN_USE,
    pb.RESERVATION_STATE_COMPLETED: texts.STATE_COMPLETED,
    pb.RESERVATION_STATE_NO_SHOW: texts.STATE_NO_SHOW,
    pb.RESERVATION_STATE_CANCELLED: texts.STATE_CANCELLED,
    pb.RESERVATION_STATE_DECLINED: texts.STATE_DECLINED,
    pb.RESERVATION_STATE_EXPIRED: texts.STATE_EXPIRED,
}


MEETING_STATES: Mapping[int, Text] = {
    meeting_pb2.MEETING_STATE_UNSPECIFIED: texts.MEETING_UNKNOWN,
    meeting_pb2.MEETING_STATE_SCHEDULED: texts.MEETING_SCHEDULED,
    meeting_pb2.MEETING_STATE_RUNNING: texts.MEETING_RUNNING,
    meeting_pb2.MEETING_STATE_ENDED: texts.MEETING_ENDED,
    meeting_pb2.MEETING_STATE_CANCELLED: texts.MEETING_CANCELLED,
}


def localized(text: policy.LocalizedText, language: str) -> str:
    """The sentence in that language, or in the other one rather than none."""
    chosen, other = (text.zh_cn, text.en) if language == CHINESE else (text.en, text.zh_cn)
    return chosen or other


def outcome(terminal: Terminal, value: int) -> Styled:
    text, style = OUTCOMES[value]
    return Styled(terminal.text(text), style)


def is_refused(value: int) -> bool:
    return value in (pb.OUTCOME_DENIED, pb.OUTCOME_REDIRECTED)


def show_update(terminal: Terminal, answer: api.UpdateReservationResponse) -> None:
    refused = is_refused(answer.outcome)
    text, style = (texts.NOT_CHANGED, "bold red") if refused else (texts.CHANGED, "bold green")
    terminal.out.print(Styled(terminal.text(text), style))
    show_rules(terminal, answer.decision)
    show_reservation(terminal, answer.reservation)


def show_series(terminal: Terminal, answer: api.CreateReservationSeriesResponse) -> None:
    """One line an occurrence, then the reasons of those that were refused."""
    heading = terminal.text(texts.TIME_IN_ZONE, zone=moments.zone_name(terminal.language))
    table = Table(padding=(0, 1))
    for title in (heading, *map(terminal.text, (texts.RESULT, texts.ROOM, texts.RESERVATION))):
        table.add_column(title, overflow="fold")
    for each in answer.occurrences:
        when = moments.show_bare_interval(each.start_time, each.end_time, terminal.language)
        room = each.reservation.room.room_id or "–"
        table.add_row(when, outcome(terminal, each.outcome), room, each.reservation.reservation_id or "–")
    terminal.out.print(table)
    for rule in {rule.rule_id: rule for each in answer.occurrences for rule in each.decision.rules}.values():
        terminal.out.print(Styled(f"{rule.rule_id}: {localized(rule.reason, terminal.language)}"))
    made = sum(each.HasField("reservation") for each in answer.occurrences)
    terminal.say(texts.SERIES_SUMMARY, made=made, total=len(answer.occurrences))


def show_create(terminal: Terminal, answer: api.CreateReservationResponse) -> None:
    terminal.out.print(outcome(terminal, answer.outcome))
    show_rules(terminal, answer.decision)
    if answer.HasField("reservation"):
        show_reservation(terminal, answer.reservation)
    show_alternatives(terminal, answer.alternatives)


def show_check(terminal: Terminal, answer: api.CheckReservationResponse) -> None:
    words = outcome(terminal, answer.outcome)
    terminal.out.print(Styled(terminal.text(texts.WOULD_BE, outcome=words.plain), words.style))
    show_rules(terminal, answer.decision)
    if not answer.decision.rules:
        terminal.say(texts.NO_RULE)
    if answer.HasField("room"):
        terminal.out.print(f"{terminal.text(texts.ROOM)}: {room_label(answer.room)}", markup=False)
    show_alternatives(terminal, answer.alternatives)


def show_alternatives(terminal: Terminal, alternatives: Iterable[pb.Alternative]) -> None:
    """Other times that would be confirmed."""
    lines = [
        f"  {moments.show_interval(each.start_time, each.end_time, terminal.language)}  {room_label(each.room)}"
        for each in alternatives
    ]
    if lines:
        terminal.out.print("\n".join([terminal.text(texts.ALTERNATIVES), *lines]), markup=False, style="green")


def show_rules(terminal: Terminal, decision: policy.Decision) -> None:
    """Every rule that fired: id, effect, reason with its figures, remedy."""
    if not decision.rules:
        return
    table = Table(padding=(0, 1), show_lines=len(decision.rules) > 1)
    table.add_column(terminal.text(texts.RULE), no_wrap=True)
    table.add_column(terminal.text(texts.EFFECT), no_wrap=True)
    table.add_column(terminal.text(texts.REASON), overflow="fold")
    for rule in decision.rules:
        text, style = EFFECTS[rule.effect]
        table.add_row(rule.rule_id, Styled(terminal.text(text), style), _explanation(terminal, rule))
    terminal.out.print(table)


def _explanation(terminal: Terminal, rule: policy.FiredRule) -> Styled:
    cell = Styled(localized(rule.reason, terminal.language))
    if rule.HasField("remedy"):
        cell.append("\n" + terminal.text(texts.REMEDY, remedy=localized(rule.remedy.text, terminal.language)), "green")
    return cell


def show_reservation(terminal: Terminal, record: pb.Reservation) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for text, value in reservation_facts(terminal, record):
        table.add_row(terminal.text(text), Styled(value))
    terminal.out.print(table)


def reservation_facts(terminal: Terminal, record: pb.Reservation) -> Iterable[tuple[Text, str]]:
    language = terminal.language
    yield texts.RESERVATION, record.reservation_id
    yield texts.STATE, terminal.text(STATES[record.state])
    yield texts.SUBJECT, record.subject
    yield texts.MEETING, record.meeting_code
    yield texts.TIME, moments.show_interval(record.start_time, record.end_time, language)
    yield texts.PEOPLE, str(record.participant_count)
    yield texts.ROOM, room_label(record.room) if record.HasField("room") else terminal.text(texts.NO_ROOM_YET)
    yield texts.ACCOUNT, record.organizer.account_id
    if record.HasField("release_time"):
        yield texts.RELEASE_AT, moments.show(record.release_time, language)
    if record.HasField("enter_time"):
        yield texts.ENTERED_AT, moments.show(record.enter_time, language)
    if record.HasField("early_enter_time"):
        yield texts.EARLY_ENTERED_AT, moments.show(record.early_enter_time, language)
    yield from meeting_facts(terminal, record)
    if record.note:
        yield texts.NOTE, record.note


def meeting_facts(terminal: Terminal, record: pb.Reservation) -> Iterable[tuple[Text, str]]:
    """What became of the meeting, where that is news, and what was said about who came."""
    meeting, language = record.meeting, terminal.language
    if meeting.state in (meeting_pb2.MEETING_STATE_CANCELLED, meeting_pb2.MEETING_STATE_ENDED):
        yield texts.MEETING_STATE, terminal.text(MEETING_STATES[meeting.state])
    moved = (meeting.start_time, meeting.end_time) != (record.start_time, record.end_time)
    if meeting.HasField("start_time") and moved:
        yield texts.MEETING_PLANNED, moments.show_interval(meeting.start_time, meeting.end_time, language)
    if record.HasField("attendance"):
        yield texts.CAME, attendance(terminal, record)


def attendance(terminal: Terminal, record: pb.Reservation) -> str:
    asked, said = record.attendance, moments.show(record.attendance.ask_time, terminal.language)
    if asked.knowledge != meeting_pb2.KNOWLEDGE_KNOWN:
        known = words.UNKNOWN_BECAUSE.get(asked.unknown_reason)
        because = terminal.text(known) if known else asked.unknown_reason
        return terminal.text(texts.CAME_UNKNOWN, time=said, count=asked.ask_count, reason=because)
    return terminal.text(texts.CAME_SOMEBODY if record.HasField("enter_time") else texts.CAME_NOBODY, time=said)


def show_reservations(terminal: Terminal, records: Iterable[pb.Reservation], *, with_account: bool) -> None:
    heading = terminal.text(texts.TIME_IN_ZONE, zone=moments.zone_name(terminal.language))
    table = Table(padding=(0, 1))
    # nothing is cut off: an id that cannot be copied is of no use; a narrow terminal folds instead
    table.add_column(terminal.text(texts.RESERVATION), overflow="fold", min_width=16)
    table.add_column(heading, overflow="fold")
    table.add_column(terminal.text(texts.STATE), overflow="fold")
    table.add_column(terminal.text(texts.ROOM), overflow="fold")
    table.add_column(terminal.text(texts.SUBJECT), overflow="fold")
    if with_account:
        table.add_column(terminal.text(texts.ACCOUNT), overflow="fold")
    for record in records:
        table.add_row(*_row(terminal, record, with_account=with_account))
    terminal.out.print(table)


def _row(terminal: Terminal, record: pb.Reservation, *, with_account: bool) -> list[Styled]:
    cells = [
        record.reservation_id,
        moments.show_bare_interval(record.start_time, record.end_time, terminal.language),
        terminal.text(STATES[record.state]),
        record.room.room_id if record.HasField("room") else "–",
        record.subject,
    ]
    return [Styled(cell) for cell in [*cells, *([record.organizer.account_id] if with_account else [])]]


def room_label(room: pb.Room) -> str:
    return f"{room.room_id} ({room.display_name}, {room.capacity})"
