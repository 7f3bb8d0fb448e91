"""Guards taken away one by one, in a copy of the sources, and the proof that must notice: `make mutants`.

Prints a table; ends with 1 when a mutant is not noticed, or a proof fails with all guards in place.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("services", "tests", "bench", "examples", "proto", "docs", "tools", "pyproject.toml")
SEATS = "{:<80}{:<10}{}"
FAILED = 1
"""What pytest ends with when a test has failed, and not for example when there is none."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands exactly once in `file`; `proof` is what pytest is given."""

    what: str
    file: str
    old: str
    new: str
    proof: str


MUTANTS = (
    Mutant(
        "a reservation is stored although its meeting is being unmade",
        "services/booking/makings.py",
        "    if len(found) < len(set(making_ids)):\n",
        "    if len(found) > len(set(making_ids)):\n",
        "tests/booking/made_here/test_deaths.py::test_what_takes_too_long_is_made_anew",
    ),
    Mutant(
        "a meeting stays that nobody reserved in time",
        "services/booking/makings.py",
        "state = UNMAKE if row.state == OPEN else row.state",
        "state = row.state",
        "tests/booking/made_here/test_deaths.py::test_whoever_dies_leaves_both_or_neither",
    ),
    Mutant(
        "what is refused at last keeps its meeting",
        "services/booking/reservations.py",
        "(rows.reserved if state else rows.unwanted).append(making_id)",
        "rows.reserved.append(making_id)",
        "tests/booking/made_here/test_making.py::test_what_is_refused_only_then_is_unmade",
    ),
    Mutant(
        "what is called off keeps its meeting",
        "services/booking/states.py",
        "CALLED_OFF = (CANCELLED, DECLINED, EXPIRED)",
        "CALLED_OFF = (DECLINED, EXPIRED)",
        "tests/booking/made_here/test_ends.py::test_cancelled_with_its_reservation",
    ),
    Mutant(
        "a change is stored although its meeting was moved back",
        "services/booking/makings.py",
        "    if not connection.execute(sa.delete(OWED_MAKING).where(mine)).rowcount:\n        raise StaleError\n",
        "    connection.execute(sa.delete(OWED_MAKING).where(mine))\n",
        "tests/booking/made_here/test_moves_with_it.py::test_what_comes_between_moving_and_storing",
    ),
    Mutant(
        "two changes move a meeting at once",
        "services/booking/makings.py",
        "elif row.state == ALIGN and (row.held_by == held_by or row.due_time <= now):",
        "elif row.state == ALIGN:",
        "tests/booking/made_here/test_moves_with_it.py::test_whoever_dies_while_moving_is_put_right",
    ),
    Mutant(
        "who manages one department reads the decisions about all",
        "services/booking/queries.py",
        "sa.select(DECISION).where(c.decision_id == decision_id, whose.covers(c.account_id))",
        "sa.select(DECISION).where(c.decision_id == decision_id)",
        "tests/booking/test_scopes.py::test_what_lies_outside_answers_as_what_does_not_exist",
    ),
    Mutant(
        "an account that was closed meanwhile gets what support approves",
        "services/booking/escalations.py",
        "if resolution.approve and snapshot.account.member.closed:",
        "if resolution.approve and snapshot.account.version < 0:",
        "tests/booking/test_directory.py::test_what_waits_for_support_is_not_approved_for_a_closed_account",
    ),
    Mutant(
        "what the directory says is remembered with the account",
        "services/booking/accounts.py",
        "state.overdue, state.member = bool(overdue), to_facts(*member)",
        "state.overdue = bool(overdue)",
        "tests/booking/test_directory.py::test_whoever_moves_with_a_department_is_decided_about_anew",
    ),
    Mutant(
        "who may not book does",
        "services/policy/rules/default.yaml",
        "when: {fact: extends, op: more_than, threshold: may_book}",
        "when: {fact: extends, op: less_than, threshold: may_book}",
        "tests/booking/test_directory.py::test_rules_rest_on_what_the_directory_says",
    ),
    Mutant(
        "the trigger against overlaps never fires",
        "services/booking/migrations/0001_initial.py",
        "WHEN NEW.state IN ('CONFIRMED', 'IN_USE') BEGIN",
        "WHEN NEW.state IN ('NEVER') BEGIN",
        "tests/booking/test_admission.py::test_the_database_itself_refuses_an_overlap",
    ),
    Mutant(
        "<= for <: rooms that only touch overlap",
        "services/booking/pool.py",
        "if since < end and until > start\n",
        "if since <= end and until >= start\n",
        "tests/booking/test_pool.py::test_touching_is_not_overlapping",
    ),
    Mutant(
        "> for >=: a fourth reservation on one day",
        "services/policy/rules/default.yaml",
        "{fact: reservations_that_day, op: at_least, threshold: daily_quota}",
        "{fact: reservations_that_day, op: more_than, threshold: daily_quota}",
        "tests/booking/test_admission.py::test_the_fourth_of_a_day_and_the_eleventh_of_a_week_are_refused",
    ),
    Mutant(
        "the commit does not look whether the account has changed",
        "services/booking/accounts.py",
        "WHERE account.version = excluded.version - 1",
        "WHERE TRUE",
        "tests/booking/test_admission.py::test_64_at_once_of_one_account_are_exactly_3",
    ),
    Mutant(
        "a room that was given back stays taken for who keeps the pool in memory",
        "services/booking/migrations/0006_pool_changes.py",
        "FALSE WHERE {old};",
        "FALSE WHERE FALSE;",
        "tests/booking/test_memory.py",
    ),
    Mutant(
        "what another replica takes is not seen by who keeps the pool in memory",
        "services/booking/pool.py",
        "for number, room_id, start, end, held in changes:",
        "for number, room_id, start, end, held in []:",
        "tests/booking/test_memory.py",
    ),
    Mutant(
        "an account that another replica has changed is taken as it was",
        "services/booking/accounts.py",
        "if state is None or state.version != version or",
        "if state is None or",
        "tests/booking/test_memory.py",
    ),
    Mutant(
        "who has to tell more of a history than was read tells no more",
        "services/booking/accounts.py",
        "if not account.covers(wanted):",
        "if account.version < 0:",
        "tests/booking/test_memory.py::test_a_remedy_beyond_what_was_read_is_found",
    ),
    Mutant(
        "reservations that were moved, and start at another time than is read, do not count",
        "services/booking/accounts.py",
        "AND ({COUNTS_OFTEN}) AND start_time >= :earliest AND NOT",
        "AND start_time < 0 AND start_time >= :earliest AND NOT",
        "tests/booking/test_memory.py::test_no_more_is_read_than_lies_within_and_what_counts_at_other_moments",
    ),
    Mutant(
        "a repeated request is decided again",
        "services/booking/admission.py",
        "if earlier := snapshot.answers.get((wanted.actor, wanted.request_id)):",
        "if earlier := snapshot.answers.get((wanted.actor, 'none')):",
        "tests/booking/test_admission.py::test_the_same_request_id_has_the_same_answer_and_one_effect",
    ),
    Mutant(
        "without the policy everything is allowed",
        "services/booking/decisions.py",
        "reply = await self._ask(subjects.DECIDE, body, policy.DecideBatchResponse)",
        "return [policy.DecideResult(decision=Decision(decision_id=each.decision_id, effect=1)) for each in questions]",
        "tests/system/test_recovery.py::test_without_the_policy_nothing_is_accepted",
    ),
    Mutant(
        "a reservation may be moved away at the last moment",
        "services/policy/rules/default.yaml",
        "      all:\n        - {fact: committed_lead_seconds, op: less_than, threshold: booking_cutoff_seconds}\n",
        "      all:\n        - {fact: committed_lead_seconds, op: less_than, value: -86400}\n",
        "tests/booking/test_machine.py::test_what_random_acts_seldom_come_to",
    ),
    Mutant(
        "a start that was left late does not count",
        "services/policy/facts.py",
        "left = sum(first <= start < end for start in own.left)",
        "left = 0",
        "tests/booking/test_moves.py::test_nor_under_rules_that_let_people_move_late",
    ),
    Mutant(
        "a suspended account gets a room for what waits for support",
        "services/policy/decisions.py",
        "question.takes_room = True",
        "question.takes_room = False",
        "tests/booking/test_machine.py::test_what_random_acts_seldom_come_to",
    ),
    Mutant(
        "who only gives back is moved to another room",
        "services/booking/updates.py",
        "held = [record.room] if stays(record, after) else []",
        "held = list[pb.Room]()",
        "tests/booking/test_machine.py::test_what_random_acts_seldom_come_to",
    ),
    Mutant(
        "what ends early is not judged",
        "services/booking/deadlines.py",
        "max(from_timestamp(record.end_time), from_timestamp(record.release_time))",
        "from_timestamp(record.end_time)",
        "tests/booking/test_machine.py::test_what_random_acts_seldom_come_to",
    ),
    Mutant(
        "< for <=: who enters in the last moment has not entered",
        "services/policy/facts.py",
        "question.enter <= question.now)",
        "question.enter < question.now)",
        "tests/policy/test_table.py tests/policy/test_oracle.py tests/policy/test_decisions.py",
    ),
    Mutant(
        "who looks in before the start has come, and the owner may do nothing any more",
        "services/booking/attendance.py",
        'return "note" if is_early(snapshot.record, enter_time) else "enter"',
        'return "enter"',
        "tests/booking/test_machine.py",
    ),
    Mutant(
        ">= for >: who left as the meeting began was there",
        "services/meetings/gateway.py",
        "left is None or left > first",
        "left is None or left >= first",
        "tests/meetings/test_gateway.py::test_the_first_moment_of_a_window_at_which_somebody_was_inside",
    ),
    Mutant(
        "a deadline is dealt with by everybody who has seen it",
        "services/booking/standing.py",
        "if not deadlines.take(connection, states.SUSPENSION_END, suspension_id, due):",
        "if deadlines.take(connection, states.SUSPENSION_END, suspension_id, due) is None:",
        "tests/booking/test_transitions.py::test_the_end_of_a_suspension_is_told_once_however_often_it_is_dealt_with",
    ),
    Mutant(
        "an event is marked as published before it is",
        "services/platform/messaging/outbox.py",
        "window = await self._database.read(_next_rows)",
        "window = await self._database.read(_next_rows)\n"
        "        await self._database.write(lambda c: mark_published(c, [seq for seq, _ in window]))",
        "tests/plumbing/test_outbox.py::test_a_bus_that_is_away_loses_nothing_and_repeats_nothing",
    ),
    Mutant(
        "an event is acknowledged before its effect",
        "services/notifier/subscriptions.py",
        "incoming_events = [to_incoming_event(message) for message in messages]",
        "incoming_events = [to_incoming_event(message) for message in messages]\n"
        "        for message in messages:\n            await message.ack()",
        "tests/notifier/test_subscriptions.py::test_an_event_waits_for_the_one_before_it",
    ),
    Mutant(
        "the inbox is not asked whether an event was there before",
        "services/notifier/inbox.py",
        "return {event_id for (event_id,) in _KNOWN.execute(connection, [(each,) for each in event_ids])}",
        "return set()",
        "tests/notifier/test_subscriptions.py::test_same_event_twice_is_one_mail",
    ),
    Mutant(
        "the policy looks further back than it says",
        "services/policy/windows.py",
        '"calendar_week": 7 * _DAY + _SHIFT',
        '"calendar_week": 3 * _DAY + _SHIFT',
        "tests/policy/test_windows.py::test_what_lies_further_away_changes_nothing",
    ),
    Mutant(
        "a history that is too short is decided on",
        "services/policy/windows.py",
        "if _nanoseconds(history.from_time) > earliest:",
        "if False:",
        "tests/booking/test_policy_client.py::test_who_told_too_little_asks_again_with_more",
    ),
    Mutant(
        "a history that ends too soon is decided on",
        "services/policy/windows.py",
        "if _nanoseconds(history.until_time) < latest:",
        "if False:",
        "tests/policy/test_windows.py::test_a_history_that_is_too_short_is_not_decided_on",
    ),
    Mutant(
        "a remedy takes a day that was not told for a free one",
        "services/policy/facts.py",
        "        history.check_told(end)\n",
        "",
        "tests/policy/test_windows.py::test_what_lies_further_away_changes_nothing",
    ),
    Mutant(
        "remedies go further than the policy says that they need",
        "services/policy/remedies.py",
        '"another_day": DAYS * 86_400,',
        '"another_day": (DAYS - 8) * 86_400,',
        "tests/policy/test_windows.py::test_what_lies_further_away_changes_nothing",
    ),
    Mutant(
        "what was moved far away is left out, though it counts where it was",
        "services/booking/past.py",
        "        return chain(self._reservations[begin : bisect_left(self._last, until)], begun)\n",
        "        del begun\n        return chain(self._reservations[begin : bisect_left(self._last, until)])\n",
        "tests/booking/test_past.py::test_all_that_lies_within_the_horizon",
    ),
    Mutant(
        "who stops throws away the questions that wait",
        "services/platform/messaging/request_reply.py",
        "        await faststream_fixes.take_no_more(broker)\n",
        "",
        "tests/plumbing/test_faststream_fixes.py::test_who_stops_answers_what_was_asked_before",
    ),
    Mutant(
        "a policy that stops throws away the questions that wait",
        "services/platform/messaging/replies.py",
        "            await bus.close(connection)\n",
        "            await connection.close()\n",
        "tests/plumbing/test_replies.py::test_who_stops_answers_what_was_asked_before",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="those with this in their name")
    chosen = [mutant for mutant in MUTANTS if parser.parse_args().only in mutant.what]
    print(SEATS.format("mutant", "noticed", "by"), flush=True)
    with copied() as root:
        good = all([sound(root, chosen), *[noticed(root, mutant) for mutant in chosen]])
    sys.exit(0 if good else 1)


@contextmanager
def copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(folder)


def sound(root: Path, mutants: Iterable[Mutant]) -> bool:
    """Whether every proof holds while nothing is missing; otherwise its failure would say nothing."""
    held = prove(root, " ".join(mutant.proof for mutant in mutants)) == 0
    print(SEATS.format("none", "no" if held else "yes: the proofs fail", ""), flush=True)
    return held


def noticed(root: Path, mutant: Mutant) -> bool:
    file = root / mutant.file
    whole = file.read_text()
    assert whole.count(mutant.old) == 1, f"{mutant.file} has changed: mend the mutant"
    file.write_text(whole.replace(mutant.old, mutant.new))
    found = prove(root, mutant.proof) == FAILED
    file.write_text(whole)
    print(SEATS.format(mutant.what, "yes" if found else "NO", mutant.proof.rpartition("::")[2]), flush=True)
    return found


def prove(root: Path, proof: str) -> int:
    """Exit code of pytest on the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "--basetemp", str(root / ".tests")]
    path = os.pathsep.join([str(root), str(root / "proto" / "gen")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, *proof.split()], cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode


if __name__ == "__main__":
    main()
