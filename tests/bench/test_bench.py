"""The harness measures what it says: requests that are confirmed, all processes, and figures that the page repeats."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from bench import bookers, booking, processes, report
from bench.load import Call, Job
from services.platform.clock import DAY, HOUR, from_timestamp

ROOMS = 10


def test_the_page_says_what_the_results_say() -> None:
    results = json.loads(report.RESULTS.read_text(encoding="utf-8"))
    text = report.PAGE.read_text(encoding="utf-8")
    assert report.page(results, text) == text
    assert len(results["sqlite"]["create_vs_echo_c32"]["samples"]) >= 5
    assert set(report.BARS) <= set(results["sqlite"])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("create_vs_echo_c32", 0.3, "met"), ("create_vs_echo_c32", 0.299, "NOT MET"), ("rss_mb_all", 450, "NOT MET")],
)
def test_a_bar_is_judged_at_its_boundary(name: str, value: float, said: str) -> None:
    assert report.verdict(name, value) == said


def test_pages_are_judged_by_the_portals_own_time() -> None:
    """Bars: 150 ms for 95 of 100 answers, 100 kB for the first page; both must be below."""
    figures = {"server_p95_ms": 149.9, "server_p50_ms": 10.0, "outside_p95_ms": 200.0, "answers": 40}
    pages = {"number": figures, "rooms": {**figures, "server_p95_ms": 150.0}}
    rows = list(report.page_rows({"portal": {"first_page": {"kilobytes": 99.9}, "pages": pages}}))
    assert [row[3] for row in rows] == ["met", "met", "NOT MET"]
    assert list(report.page_rows({})) == []


def test_no_account_asks_for_more_than_the_quota_and_no_hour_for_more_than_the_rooms() -> None:
    hours: Counter[int] = Counter()
    for person in bookers.wishes(ROOMS):
        starts = [from_timestamp(wish.start_time) for wish in person]
        assert len(set(starts)) == len(starts) == 10
        assert max(Counter((start - bookers.MIDNIGHT) // DAY for start in starts).values()) <= 3
        hours.update(start // HOUR for start in starts)
    assert max(hours.values()) <= ROOMS


def test_an_answer_that_is_not_a_confirmation_fails_the_run() -> None:
    good = api.CreateReservationResponse(outcome=pb.OUTCOME_CONFIRMED).SerializeToString()
    refused = api.CreateReservationResponse(outcome=pb.OUTCOME_DENIED).SerializeToString()
    bookers.must_be_confirmed(bookers.CREATE, [good])
    with pytest.raises(RuntimeError, match="OUTCOME_DENIED"):
        bookers.must_be_confirmed(bookers.CREATE, [good, refused])


def test_a_program_is_counted_with_what_it_started_and_apart_from_what_has_a_name() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        programs = {"this": os.getpid(), "parent": process.pid}
        before = processes.cpu_seconds(programs)
        assert process.stdout
        process.stdout.readline()  # the child has ended: its time must be told by its parent now
        after = processes.cpu_seconds(programs)
        assert after["parent"] >= 0.3
        assert after["this"] - before["this"] < 0.3
        assert processes.spent(before, after) > 0.29 - before["parent"]  # sums of hundredths are not exact
        assert processes.memory_mb({"parent": process.pid})[0] > 1
        process.communicate("\n")
    with pytest.raises(RuntimeError, match="parent"):
        processes.cpu_seconds(programs)


def test_the_client_notes_every_call_and_each_person_has_one_turn(tmp_path: Path) -> None:
    people = [[Call(b"question", "token")] * 3] * 5
    with booking.prepared(tmp_path, 1, 0.2, lambda _: None) as bench:
        outcome = bench.client.run(Job(bench.echo, "/bench.Echo/Echo", people, 2, 10.0))
        assert outcome.people == 5
        assert outcome.answers == [b"question"] * 15
        assert len(outcome.latencies) == 15
        assert sum(outcome.latencies) >= outcome.p50 * 8
        assert len(bench.call_echo(people, 2, 0.2).answers) > 15
        with pytest.raises(ValueError, match="nobody is left"):
            bench.client.run(Job(bench.echo, "/bench.Echo/Echo", [], 2, 1.0))
