"""Drafts of a policy: every fault found, and the test table run, before anything is published."""

import sys
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.platform.serving import errors
from services.platform.text.messages import message
from services.policy import test_table
from services.policy.decisions import Policy
from services.policy.yaml_source import InvalidPolicyError

MAX_SOURCE = 200_000


def validate(source: str, tests: str) -> pb.ValidatePolicyResponse:
    """Every fault of the rules and of their table, and the outcome of every case. Takes some 0.5 s: use a thread."""
    if fault := _too_long(source, tests):
        return pb.ValidatePolicyResponse(faults=[fault])
    try:
        policy = Policy.load(source)
    except InvalidPolicyError as error:
        return pb.ValidatePolicyResponse(faults=to_faults(error, "rules"))
    try:
        report = test_table.run(policy, test_table.read_table(tests))
    except InvalidPolicyError as error:
        return pb.ValidatePolicyResponse(faults=to_faults(error, "tests"))
    finally:
        policy.close()
    return pb.ValidatePolicyResponse(
        valid=report.passed,
        faults=[pb.PolicyFault(message=gap) for gap in report.gaps],
        tests=[
            pb.PolicyTestResult(name=case.name, passed=case.passed, message="; ".join(case.faults))
            for case in report.results
        ],
    )


def load(source: str) -> Policy:
    """A draft to be tried. Raises errors.RpcError INVALID_ARGUMENT with the first fault."""
    if fault := _too_long(source, ""):
        raise errors.invalid("source", fault.message)
    try:
        return Policy.load(source)
    except InvalidPolicyError as error:
        first = error.faults[0]
        raise errors.invalid(
            "source", message("line {line}: {message}", line=first.line, message=first.message)
        ) from error


def complaints(checked: pb.ValidatePolicyResponse) -> list[str]:
    """The first things that stand in the way of publication, in words."""
    faults = [f"line {fault.line}: {fault.message}" if fault.line else fault.message for fault in checked.faults]
    failed = [f"case {case.name!r}: {case.message}" for case in checked.tests if not case.passed]
    return [*faults, *failed][:5]


def to_faults(error: InvalidPolicyError, part: str) -> list[pb.PolicyFault]:
    return [
        pb.PolicyFault(line=fault.line, rule_id=fault.rule_id, message=f"{part}: {fault.message}")
        for fault in error.faults
    ]


def _too_long(source: str, tests: str) -> pb.PolicyFault | None:
    if max(len(source), len(tests)) <= MAX_SOURCE:
        return None
    return pb.PolicyFault(message=f"at most {MAX_SOURCE:,} characters each for rules and tests")


def main() -> None:
    """`python -m services.policy.drafts RULES TESTS` prints ValidatePolicyResponse as JSON."""
    source, tests = (Path(path).read_text(encoding="utf-8") for path in sys.argv[1:3])
    print(MessageToJson(validate(source, tests), indent=None, ensure_ascii=False))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
