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

from services.cli import moments, rendering
from services.cli.arguments import read_choice, read_duration, read_moment
from services.cli.client import open_booking, open_policy
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import message

ACTIONS = {
    api.ACTION_CREATE: message("reserve"),
    api.ACTION_UPDATE: message("change"),
    api.ACTION_CANCEL: message("cancel"),
    api.ACTION_NO_SHOW: message("no-show or not"),
}
Rules = Annotated[Path, typer.Argument(metavar="RULES.yaml")]
Tests = Annotated[Path | None, typer.Option("--tests", help=message("the test table; beside the rules if not given"))]
Why = Annotated[str, typer.Option("--note", help=message("why"))]


def versions(terminal: Terminal) -> None:
    with open_policy(terminal) as policy:
        answer = policy.ask(policy.stub.ListPolicies, api.ListPoliciesRequest(page_size=100))
    terminal.answer(answer, lambda to: show_versions(to, answer.policies))


def show_versions(terminal: Terminal, listed: Iterable[api.PolicyVersion]) -> None:
    table = Table()
    for text in (
        message("version"),
        message("in force from"),
        message("published"),
        message("author"),
        message("note"),
    ):
        table.add_column(terminal.text(text), overflow="fold")
    for each in listed:
        ever = not each.effective_time.seconds
        effective = terminal.text(message("ever")) if ever else moments.show(each.effective_time, terminal.language)
        published = moments.show(each.publish_time, terminal.language)
        table.add_row(each.version, effective, published, Styled(each.author), Styled(each.note))
    terminal.out.print(table)


def show(
    terminal: Terminal,
    version: Annotated[str, typer.Argument()] = "",
    part: Annotated[str, typer.Option("--part", help=message("which part: rules or tests"))] = "rules",
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
    for text in (message("case"), message("result"), message("reason")):
        cases.add_column(terminal.text(text), overflow="fold")
    for case in report.tests:
        result = Styled(terminal.text(message("passed") if case.passed else message("FAILED")))
        result.stylize("green" if case.passed else "bold red")
        cases.add_row(Styled(case.name), result, Styled(case.message))
    if report.tests:
        terminal.out.print(cases)
    if report.faults:
        show_faults(terminal, report.faults)
    passed = sum(case.passed for case in report.tests)
    counts = {"passed": passed, "failed": len(report.tests) - passed, "faults": len(report.faults)}
    terminal.say(message("{passed} passed, {failed} failed, {faults} faults."), **counts)


def show_faults(terminal: Terminal, faults: Iterable[api.PolicyFault]) -> None:
    table = Table()
    for text in (message("line"), message("rule"), message("fault")):
        table.add_column(terminal.text(text), overflow="fold")
    for fault in faults:
        table.add_row(str(fault.line or ""), fault.rule_id, Styled(fault.message))
    terminal.out.print(table)


def publish(
    terminal: Terminal,
    rules: Rules,
    note: Why,
    tests: Tests = None,
    effective: Annotated[
        str | None, typer.Option("--effective", help=message("from when it decides; at once if not given"))
    ] = None,
    base: Annotated[str, typer.Option("--base", help=message("the version that the draft was made from"))] = "",
) -> None:
    request = api.PublishPolicyRequest(
        source=read_file(rules), tests=read_file(tests or beside(rules)), note=note, base_version=base
    )
    if effective:
        moment = read_moment(effective, development_clock.now(terminal.state))
        request.effective_time.CopyFrom(moments.to_timestamp(moment))
    with open_policy(terminal) as policy:
        answer = policy.ask(policy.stub.PublishPolicy, request)
    terminal.answer(answer, lambda to: to.say(message("{version} is published."), version=answer.policy.version))


def rollback(terminal: Terminal, version: str, note: Why) -> None:
    with open_policy(terminal) as policy:
        request = api.RollbackPolicyRequest(version=version, note=note)
        answer = policy.ask(policy.stub.RollbackPolicy, request)
    terminal.answer(answer, lambda to: to.say(message("{version} is published."), version=answer.policy.version))


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
    terminal.say(
        message("question: {action} for {account} at {time}"),
        action=action,
        account=question.account.account_id,
        time=time,
    )
    effect = terminal.text(rendering.EFFECTS[decision.effect][0])
    terminal.say(message("answer: {effect}, by {version}"), effect=effect, version=decision.policy_version)
    rendering.show_rules(terminal, decision)
    for text, numbers in ((message("facts"), decision.facts), (message("thresholds"), decision.thresholds)):
        listed = ", ".join(f"{name}={value}" for name, value in sorted(numbers.items()))
        terminal.out.print(f"{terminal.text(text)}: {listed}", markup=False, style="dim")
    terminal.say(
        message("Decided again from its facts: the same answer, bit for bit.")
        if equal
        else message("Decided again from its facts: ANOTHER answer. Was it tampered with?")
    )


def simulate(
    terminal: Terminal,
    rules: Rules,
    since: Annotated[str, typer.Option("--since", help=message("requests of the last e.g. 30d"))] = "30d",
) -> None:
    start = development_clock.now(terminal.state) - read_duration(since)
    request = api.SimulatePolicyRequest(source=read_file(rules), since=moments.to_timestamp(start))
    report = api.SimulatePolicyResponse()
    with open_policy(terminal) as policy, Progress(console=terminal.err, transient=True) as progress:
        task = progress.add_task(terminal.text(message("simulating")), total=None)
        for report in policy.follow(policy.stub.SimulatePolicy, request):
            progress.update(task, completed=report.done, total=report.total or None)
    terminal.answer(report, lambda to: show_simulation(to, report))


def show_simulation(terminal: Terminal, report: api.SimulatePolicyResponse) -> None:
    changed = False
    for text, rows in (
        (message("by rule"), report.by_rule),
        (message("by department"), report.by_department),
        (message("by week"), report.by_week),
    ):
        moved = [row for row in rows if row.before != row.after]
        changed = changed or bool(moved)
        if moved:
            show_changes(terminal, terminal.text(text), moved)
    if not changed:
        terminal.say(message("{total} requests, and nothing would change."), total=report.total)


def show_changes(terminal: Terminal, key: str, rows: Iterable[api.SimulationRow]) -> None:
    table = Table()
    for heading in (key, terminal.text(message("then")), terminal.text(message("under the draft"))):
        table.add_column(heading, overflow="fold")
    for text in (message("requests"), message("accounts")):
        table.add_column(terminal.text(text), justify="right")
    table.add_column(terminal.text(message("who")), overflow="fold")
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
        raise CommandError(FailureReason.NO_FILE, ExitCode.USAGE, path=path) from error
