"""How answers look to people: decisions with every rule, reservations, rooms. Only prints; asks nobody."""

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.policy.v1 import decision_pb2 as policy

from services.cli import moments, words
from services.cli.terminal import Terminal
from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message, pmessage

OUTCOMES: Mapping[int, tuple[Text, str]] = {
    pb.OUTCOME_CONFIRMED: (message("confirmed"), "bold green"),
    pb.OUTCOME_PENDING_APPROVAL: (message("sent to support: a person will decide"), "bold yellow"),
    pb.OUTCOME_REDIRECTED: (message("please use your personal free account"), "bold yellow"),
    pb.OUTCOME_DENIED: (message("refused"), "bold red"),
}
EFFECTS: Mapping[int, tuple[Text, str]] = {
    policy.EFFECT_ALLOW: (message("allow"), "green"),
    policy.EFFECT_ESCALATE: (message("escalate"), "yellow"),
    policy.EFFECT_REDIRECT: (message("redirect"), "yellow"),
    policy.EFFECT_DENY: (message("deny"), "red"),
}
STATES: Mapping[int, Text] = {
    pb.RESERVATION_STATE_PENDING_APPROVAL: pmessage("state", "pending approval"),
    pb.RESERVATION_STATE_CONFIRMED: pmessage("state", "confirmed"),
    pb.RESERVATION_STATE_IN_USE: pmessage("state", "in use"),
    pb.RESERVATION_STATE_COMPLETED: pmessage("state", "completed"),
    pb.RESERVATION_STATE_NO_SHOW: pmessage("state", "no-show, released"),
    pb.RESERVATION_STATE_CANCELLED: pmessage("state", "cancelled"),
    pb.RESERVATION_STATE_DECLINED: pmessage("state", "declined"),
    pb.RESERVATION_STATE_EXPIRED: pmessage("state", "expired"),
}


MEETING_STATES: Mapping[int, Text] = {
    meeting_pb2.MEETING_STATE_UNSPECIFIED: message("unknown"),
    meeting_pb2.MEETING_STATE_SCHEDULED: message("to come"),
    meeting_pb2.MEETING_STATE_RUNNING: message("under way"),
    meeting_pb2.MEETING_STATE_ENDED: message("over"),
    meeting_pb2.MEETING_STATE_CANCELLED: message("cancelled"),
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
    text, style = (
        (message("not changed: the reservation stays as it was"), "bold red")
        if refused
        else (message("changed"), "bold green")
    )
    terminal.out.print(Styled(terminal.text(text), style))
    show_rules(terminal, answer.decision)
    show_reservation(terminal, answer.reservation)


def show_series(terminal: Terminal, answer: api.CreateReservationSeriesResponse) -> None:
    """One line an occurrence, then the reasons of those that were refused."""
    heading = terminal.text(message("time ({zone})"), zone=moments.zone_name(terminal.language))
    table = Table(padding=(0, 1))
    for title in (heading, *map(terminal.text, (message("result"), message("room"), message("reservation")))):
        table.add_column(title, overflow="fold")
    for each in answer.occurrences:
        when = moments.show_bare_interval(each.start_time, each.end_time, terminal.language)
        room = each.reservation.room.room_id or "–"
        table.add_row(when, outcome(terminal, each.outcome), room, each.reservation.reservation_id or "–")
    terminal.out.print(table)
    for rule in {rule.rule_id: rule for each in answer.occurrences for rule in each.decision.rules}.values():
        terminal.out.print(Styled(f"{rule.rule_id}: {localized(rule.reason, terminal.language)}"))
    made = sum(each.HasField("reservation") for each in answer.occurrences)
    terminal.say(message("{made} of {total} were made."), made=made, total=len(answer.occurrences))


def show_create(terminal: Terminal, answer: api.CreateReservationResponse) -> None:
    terminal.out.print(outcome(terminal, answer.outcome))
    show_rules(terminal, answer.decision)
    if answer.HasField("reservation"):
        show_reservation(terminal, answer.reservation)
    show_alternatives(terminal, answer.alternatives)


def show_check(terminal: Terminal, answer: api.CheckReservationResponse) -> None:
    words = outcome(terminal, answer.outcome)
    terminal.out.print(Styled(terminal.text(message("if reserved now: {outcome}"), outcome=words.plain), words.style))
    show_rules(terminal, answer.decision)
    if not answer.decision.rules:
        terminal.say(message("No rule objects."))
    if answer.HasField("room"):
        terminal.out.print(terminal.text(message("room")) + f": {room_label(answer.room)}", markup=False)
    show_alternatives(terminal, answer.alternatives)


def show_alternatives(terminal: Terminal, alternatives: Iterable[pb.Alternative]) -> None:
    """Other times that would be confirmed."""
    lines = [
        f"  {moments.show_interval(each.start_time, each.end_time, terminal.language)}  {room_label(each.room)}"
        for each in alternatives
    ]
    if lines:
        terminal.out.print(
            "\n".join([terminal.text(message("These times are free for you:")), *lines]), markup=False, style="green"
        )


def show_rules(terminal: Terminal, decision: policy.Decision) -> None:
    """Every rule that fired: id, effect, reason with its figures, remedy."""
    if not decision.rules:
        return
    table = Table(padding=(0, 1), show_lines=len(decision.rules) > 1)
    table.add_column(terminal.text(message("rule")), no_wrap=True)
    table.add_column(terminal.text(message("effect")), no_wrap=True)
    table.add_column(terminal.text(message("reason")), overflow="fold")
    for rule in decision.rules:
        text, style = EFFECTS[rule.effect]
        table.add_row(rule.rule_id, Styled(terminal.text(text), style), _explanation(terminal, rule))
    terminal.out.print(table)


def _explanation(terminal: Terminal, rule: policy.FiredRule) -> Styled:
    cell = Styled(localized(rule.reason, terminal.language))
    if rule.HasField("remedy"):
        cell.append(
            "\n"
            + terminal.text(message("what helps: {remedy}"), remedy=localized(rule.remedy.text, terminal.language)),
            "green",
        )
    if rule.remedy.link:
        cell.append(f"\n{rule.remedy.link}", "green")
    return cell


def show_reservation(terminal: Terminal, record: pb.Reservation) -> None:
    show_facts(terminal, reservation_facts(terminal, record))


def show_facts(terminal: Terminal, facts: Iterable[tuple[Text, str]]) -> None:
    """One a line, with its name in front."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for text, value in facts:
        table.add_row(terminal.text(text), Styled(value))
    terminal.out.print(table)


def show_rest(terminal: Terminal, shown: int, total: int) -> None:
    """That there are more than the list shows."""
    if shown < total:
        terminal.say(message("{shown:,} of {total:,}; more with --limit."), shown=shown, total=total)


def reservation_facts(terminal: Terminal, record: pb.Reservation) -> Iterable[tuple[Text, str]]:
    language = terminal.language
    yield message("reservation"), record.reservation_id
    yield message("state"), terminal.text(STATES[record.state])
    yield message("subject"), record.subject
    yield message("meeting"), record.meeting_code
    yield message("time"), moments.show_interval(record.start_time, record.end_time, language)
    yield message("people"), str(record.participant_count)
    yield message("room"), room_label(record.room) if record.HasField("room") else terminal.text(message("none yet"))
    yield message("account"), record.organizer.account_id
    if record.HasField("release_time"):
        yield message("released unless entered by"), moments.show(record.release_time, language)
    if record.HasField("enter_time"):
        yield message("there from"), moments.show(record.enter_time, language)
    if record.HasField("early_enter_time"):
        yield message("looked in early"), moments.show(record.early_enter_time, language)
    yield from meeting_facts(terminal, record)
    if record.note:
        yield message("note"), record.note


def meeting_facts(terminal: Terminal, record: pb.Reservation) -> Iterable[tuple[Text, str]]:
    """What became of the meeting, where that is news, and what was said about who came."""
    meeting, language = record.meeting, terminal.language
    if meeting.state in (meeting_pb2.MEETING_STATE_CANCELLED, meeting_pb2.MEETING_STATE_ENDED):
        yield pmessage("state", "meeting"), terminal.text(MEETING_STATES[meeting.state])
    moved = (meeting.start_time, meeting.end_time) != (record.start_time, record.end_time)
    if meeting.HasField("start_time") and moved:
        yield message("meeting planned"), moments.show_interval(meeting.start_time, meeting.end_time, language)
    if record.HasField("attendance"):
        yield message("who came"), attendance(terminal, record)


def attendance(terminal: Terminal, record: pb.Reservation) -> str:
    asked, said = record.attendance, moments.show(record.attendance.ask_time, terminal.language)
    if asked.knowledge != meeting_pb2.KNOWLEDGE_KNOWN:
        known = words.UNKNOWN_BECAUSE.get(asked.unknown_reason)
        because = terminal.text(known) if known else asked.unknown_reason
        return terminal.text(
            message("asked {time}, time {count}: unknown ({reason}); it counts against nobody"),
            time=said,
            count=asked.ask_count,
            reason=because,
        )
    return terminal.text(
        message("asked {time}: somebody was there")
        if record.HasField("enter_time")
        else message("asked {time}: nobody was there"),
        time=said,
    )


def show_reservations(terminal: Terminal, records: Iterable[pb.Reservation], *, with_account: bool) -> None:
    heading = terminal.text(message("time ({zone})"), zone=moments.zone_name(terminal.language))
    table = Table(padding=(0, 1))
    # nothing is cut off: an id that cannot be copied is of no use; a narrow terminal folds instead
    table.add_column(terminal.text(message("reservation")), overflow="fold", min_width=16)
    table.add_column(heading, overflow="fold")
    table.add_column(terminal.text(message("state")), overflow="fold")
    table.add_column(terminal.text(message("room")), overflow="fold")
    table.add_column(terminal.text(message("subject")), overflow="fold")
    if with_account:
        table.add_column(terminal.text(message("account")), overflow="fold")
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
