"""`yunhui policy`: the rules as people steer them, from a draft and its test table to publication and back."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import Parse
from rich.progress import Progress
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as booking_api
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as api

from services.cli import moments, rendering, texts
from services.cli.arguments import read_choice, read_duration, read_moment
from services.cli.client import open_booking, open_policy
from services.cli.failures import CommandError, ExitCode
from services.cli.terminal import Terminal
from services.installation import development_clock

ACTIONS = {
    api.ACTION_CREATE: texts.ACTION_CREATE,
    api.ACTION_UPDATE: texts.ACTION_UPDATE,
    api.ACTION_CANCEL: texts.ACTION_CANCEL,
    api.ACTION_NO_SHOW: texts.ACTION_NO_SHOW,
}
Rules = Annotated[Path, typer.Argument(metavar="RULES.yaml")]
Tests = Annotated[Path | None, typer.Option("--tests", help=texts.OPTION_TESTS.help)]
Why = Annotated[str, typer.Option("--note", help=texts.OPTION_WHY.help)]


def versions(terminal: Terminal) -> None:
    with open_policy(terminal) as policy:
        answer = policy.ask(policy.stub.ListPolicies, api.ListPoliciesRequest(page_size=100))
    terminal.answer(answer, lambda to: show_versions(to, answer.policies))


def show_versions(terminal: Terminal, listed: Iterable[api.PolicyVersion]) -> None:
    table = Table()
    for text in (texts.VERSION, texts.EFFECTIVE_AT, texts.PUBLISHED_AT, texts.AUTHOR, texts.NOTE):
        table.add_column(terminal.text(text), overflow="fold")
    for each in listed:
        ever = not each.effective_time.seconds
        effective = (
            terminal.text(texts.FROM_THE_START) if ever else moments.show(each.effective_time, terminal.language)
        )
        published = moments.show(each.publish_time, terminal.language)
        table.add_row(each.version, effective, published, Styled(each.author), Styled(each.note))
    terminal.out.print(table)


def show(
    terminal: Terminal,
    version: Annotated[str, typer.Argument()] = "",
    part: Annotated[str, typer.Option("--part", help=texts.OPTION_RULES_PART.help)] = "rules",
) -> None:
    read_choice(part, ("rules", "tests"))
    with open_policy(terminal) as policy:
        answer = policy.ask(policy.stub.GetPolicy, api.GetPolicyRequest(version=version))
    source = answer.tests if part == "tests" else answer.source
    terminal.answer(answer, lambda to: to.out.print(source.rstrip("\n"), markup=False, soft_wrap=True))


def run_tests(terminal: Terminal, rules: Rules, tests: Tests = None) -> None:
    """Needs no running installation: authors and CI use it on files."""
    command = [sys.executable, "-m", "services.policy.drafts", str(rules), str(tests or beside(rules))]
    for path in command[-2:]:
        read_file(Path(path))
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own program
    answer = Parse(ran.stdout, api.ValidatePolicyResponse())
    terminal.answer(answer, lambda to: show_report(to, answer))
    raise typer.Exit(ExitCode.OK if answer.valid else ExitCode.OTHER)


def show_report(terminal: Terminal, report: api.ValidatePolicyResponse) -> None:
    cases = Table()
    for text in (texts.CASE, texts.RESULT, texts.REASON):
        cases.add_column(terminal.text(text), overflow="fold")
    for case in report.tests:
        result = Styled(terminal.text(texts.CASE_PASSED if case.passed else texts.CASE_FAILED))
        result.stylize("green" if case.passed else "bold red")
        cases.add_row(Styled(case.name), result, Styled(case.message))
    if report.tests:
        terminal.out.print(cases)
    if report.faults:
        show_faults(terminal, report.faults)
    passed = sum(case.passed for case in report.tests)
    counts = {"passed": passed, "failed": len(report.tests) - passed, "faults": len(report.faults)}
    terminal.say(texts.TESTS_SUMMARY, **counts)


def show_faults(terminal: Terminal, faults: Iterable[api.PolicyFault]) -> None:
    table = Table()
    for text in (texts.LINE, texts.RULE, texts.FAULT):
        table.add_column(terminal.text(text), overflow="fold")
    for fault in faults:
        table.add_row(str(fault.line or ""), fault.rule_id, Styled(fault.message))
    terminal.out.print(table)


def publish(
    terminal: Terminal,
    rules: Rules,
    note: Why,
    tests: Tests = None,
    effective: Annotated[str | None, typer.Option("--effective", help=texts.OPTION_EFFECTIVE.help)] = None,
    base: Annotated[str, typer.Option("--base", help=texts.OPTION_BASE.help)] = "",
) -> None:
    request = api.PublishPolicyRequest(
        source=read_file(rules), tests=read_file(tests or beside(rules)), note=note, base_version=base
    )
    if effective:
        moment = read_moment(effective, development_clock.now(terminal.state))
        request.effective_time.CopyFrom(moments.to_timestamp(moment))
    with open_policy(terminal) as policy:
        answer = policy.ask(policy.stub.PublishPolicy, request)
    terminal.answer(answer, lambda to: to.say(texts.PUBLISHED, version=answer.policy.version))


def rollback(terminal: Terminal, version: str, note: Why) -> None:
    with open_policy(terminal) as policy:
        request = api.RollbackPolicyRequest(version=version, note=note)
        answer = policy.ask(policy.stub.RollbackPolicy, request)
    terminal.answer(answer, lambda to: to.say(texts.PUBLISHED, version=answer.policy.version))


def explain(terminal: Terminal, decision_id: str) -> None:
    with open_booking(terminal) as booking:
        asked = booking_api.GetDecisionRequest(decision_id=decision_id)
        stored = booking.ask(booking.stub.GetDecision, asked)
    with open_policy(terminal) as policy:
        request = api.ReplayDecisionRequest(question=stored.question, decision=stored.decision)
        replayed = policy.ask(policy.stub.ReplayDecision, request)
    terminal.answer(replayed, lambda to: show_explanation(to, stored, replayed.equal))
    raise typer.Exit(ExitCode.OK if replayed.equal else ExitCode.OTHER)


def show_explanation(terminal: Terminal, stored: booking_api.GetDecisionResponse, equal: bool) -> None:
    question, decision = stored.question, stored.decision
    action = terminal.text(ACTIONS[question.action]) if question.action in ACTIONS else str(question.action)
    time = moments.show(question.now, terminal.language)
    terminal.say(texts.QUESTION, action=action, account=question.account.account_id, time=time)
    effect = terminal.text(rendering.EFFECTS[decision.effect][0])
    terminal.say(texts.DECIDED_BY, effect=effect, version=decision.policy_version)
    rendering.show_rules(terminal, decision)
    for text, numbers in ((texts.FACTS, decision.facts), (texts.THRESHOLDS, decision.thresholds)):
        listed = ", ".join(f"{name}={value}" for name, value in sorted(numbers.items()))
        terminal.out.print(f"{terminal.text(text)}: {listed}", markup=False, style="dim")
    terminal.say(texts.REPLAY_EQUAL if equal else texts.REPLAY_DIFFERS)


def simulate(
    terminal: Terminal,
    rules: Rules,
    since: Annotated[str, typer.Option("--since", help=texts.OPTION_SINCE.help)] = "30d",
) -> None:
    start = development_clock.now(terminal.state) - read_duration(since)
    request = api.SimulatePolicyRequest(source=read_file(rules), since=moments.to_timestamp(start))
    report = api.SimulatePolicyResponse()
    with open_policy(terminal) as policy, Progress(console=terminal.err, transient=True) as progress:
        task = progress.add_task(terminal.text(texts.SIMULATING), total=None)
        for report in policy.follow(policy.stub.SimulatePolicy, request):
            progress.update(task, completed=report.done, total=report.total or None)
    terminal.answer(report, lambda to: show_simulation(to, report))


def show_simulation(terminal: Terminal, report: api.SimulatePolicyResponse) -> None:
    changed = False
    for text, rows in (
        (texts.BY_RULE, report.by_rule),
        (texts.BY_DEPARTMENT, report.by_department),
        (texts.BY_WEEK, report.by_week),
    ):
        moved = [row for row in rows if row.before != row.after]
        changed = changed or bool(moved)
        if moved:
            show_changes(terminal, terminal.text(text), moved)
    if not changed:
        terminal.say(texts.NOTHING_CHANGES, total=report.total)


def show_changes(terminal: Terminal, key: str, rows: Iterable[api.SimulationRow]) -> None:
    table = Table()
    for heading in (key, terminal.text(texts.BEFORE), terminal.text(texts.AFTER)):
        table.add_column(heading, overflow="fold")
    for text in (texts.REQUESTS, texts.ACCOUNTS):
        table.add_column(terminal.text(text), justify="right")
    table.add_column(terminal.text(texts.WHO_CHANGES), overflow="fold")
    for row in rows:
        effects = [effect_label(terminal, effect) for effect in (row.before, row.after)]
        who = Styled(", ".join(row.account_ids))
        table.add_row(Styled(row.key or "–"), *effects, str(row.requests), str(row.accounts), who)
    terminal.out.print(table)


def effect_label(terminal: Terminal, effect: decision_pb2.Effect.ValueType) -> Styled:
    text, style = rendering.EFFECTS[effect]
    return Styled(terminal.text(text), style)


def beside(rules: Path) -> Path:
    """default.yaml has its cases in default.test.yaml."""
    return rules.with_suffix(".test.yaml")


def read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(texts.NO_FILE, ExitCode.USAGE, path=path) from error
