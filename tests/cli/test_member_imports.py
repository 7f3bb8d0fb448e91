"""`yunhui members import` and `template` against a directory that is made up: what they ask, show and leave behind."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from typer.testing import CliRunner, Result
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api
from yunhui.directory.v1.import_service_pb2_grpc import ImportServiceServicer, add_ImportServiceServicer_to_server

from services.cli import member_imports
from services.cli.commands import app

SUMMARY = pb.ImportSummary(create_count=2, failed_count=1, department_count=3)
ROWS = [
    pb.ImportRow(line=2, verdict=pb.IMPORT_VERDICT_CREATE, account_id="[red]", display_name="张伟"),
    pb.ImportRow(
        line=3,
        verdict=pb.IMPORT_VERDICT_UPDATE,
        account_id="li",
        differences=[pb.ImportDifference(field="title", before="", after="工程师")],
    ),
    pb.ImportRow(line=5, verdict=pb.IMPORT_VERDICT_REMOVE, account_id="wang"),
    pb.ImportRow(
        line=4,
        verdict=pb.IMPORT_VERDICT_FAILED,
        faults=[pb.ImportFault(field="phone", column=2, english="is no number", chinese="不是号码")],
    ),
]


class Directory(ImportServiceServicer):
    """`asked` are the methods called, `content` what was uploaded; `fault` is what apply answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content = b""
        self.busy, self.fault, self.good_rows_only = False, "", False
        self.states = [pb.IMPORT_STATE_FETCHING, pb.IMPORT_STATE_UPLOADING, pb.IMPORT_STATE_CHECKED]

    def made(self, state: pb.ImportState.ValueType = pb.IMPORT_STATE_CHECKED) -> dict[str, Any]:
        return {"import": pb.Import(import_id="imp_1", file_name="p.csv", state=state, summary=SUMMARY)}

    def CreateImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        self.content = b""
        return api.CreateImportResponse(**self.made(pb.IMPORT_STATE_UPLOADING))

    def CreateProviderImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        self.asked.append("provider")
        return api.CreateProviderImportResponse(**self.made(pb.IMPORT_STATE_FETCHING))

    def GetImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        answer = api.GetImportResponse(**self.made(self.states.pop(0)))
        made = getattr(answer, "import")
        made.source, made.summary.remove_count, made.fault.english = pb.IMPORT_SOURCE_PROVIDER, 4, "is away"
        return answer

    def UploadImportPart(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        if self.busy:
            self.busy = False
            context.abort_with_status(busy())
        assert request.offset == len(self.content)
        self.content += request.content
        return api.UploadImportPartResponse(uploaded_bytes=len(self.content))

    def CheckImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        self.asked.append("check")
        return api.CheckImportResponse(**self.made())

    def ListImportRows(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        return api.ListImportRowsResponse(rows=[row for row in ROWS if row.verdict in request.verdicts])

    def ApplyImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        self.asked.append("apply")
        self.good_rows_only = request.good_rows_only
        if self.fault:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.fault)
        return api.ApplyImportResponse(**self.made(pb.IMPORT_STATE_APPLIED))

    def CancelImport(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        self.asked.append("cancel")
        return api.CancelImportResponse(**self.made(pb.IMPORT_STATE_CANCELLED))

    def GetFailedRows(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        yield api.GetFailedRowsResponse(content=f"{request.format} {request.locale} ".encode())
        yield api.GetFailedRowsResponse(content=b"failed")

    def GetImportTemplate(self, request: Any, context: Any) -> Any:  # noqa: N802 - as in the contract
        return api.GetImportTemplateResponse(content=f"{request.format} {request.locale}".encode())


class Status(grpc.Status):
    def __init__(self, status: status_pb2.Status) -> None:
        self.code, self.details = grpc.StatusCode.RESOURCE_EXHAUSTED, status.message
        self.trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()),)


def busy() -> Status:
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="too many calls")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)))
    return Status(status)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    directory = Directory()  # type: ignore[abstract] # the command does not need them all
    server = grpc.server(ThreadPoolExecutor(2))
    add_ImportServiceServicer_to_server(directory, server)
    monkeypatch.setenv("YUNHUI_DIRECTORY_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    monkeypatch.setenv("YUNHUI_TOKEN", "a.b.c")
    server.start()
    yield directory
    server.stop(None).wait()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "p.csv"
    file.write_bytes(b"x" * (member_imports.PART + 7))
    return file


def run(*arguments: str, lang: str = "en") -> Result:
    return CliRunner().invoke(app, ["members", *arguments, "--lang", lang], env={"COLUMNS": "120"})


def test_without_apply_it_says_what_would_happen_and_leaves_nothing(directory: Directory, table: Path) -> None:
    done = run("import", str(table))
    assert (done.exit_code, directory.asked) == (0, ["check", "cancel"])
    assert directory.content == table.read_bytes()
    assert "[red]" in done.stdout
    assert "phone: is no number" in done.stdout
    assert "title: – → 工程师" in done.stdout
    assert done.stdout.endswith("Nothing was changed. To do it, add --apply.\n")
    assert "phone: 不是号码" in run("import", str(table), lang="zh-CN").stdout


def test_with_apply_it_does_it(directory: Directory, table: Path) -> None:
    done = run("import", str(table), "--apply", "--good-rows")
    assert (done.exit_code, directory.asked, directory.good_rows_only) == (0, ["check", "apply"], True)
    assert done.stdout.endswith("The table was applied.\n")


def test_programs_get_json_alone(directory: Directory, table: Path) -> None:
    answer = json.loads(run("import", str(table), "--json").stdout)
    assert answer["import"]["summary"] == {"createCount": 2, "failedCount": 1, "departmentCount": 3}


def test_what_was_uploaded_goes_when_it_could_not_be_applied(directory: Directory, table: Path) -> None:
    directory.fault = "no"
    assert run("import", str(table), "--apply").exit_code != 0
    assert directory.asked == ["check", "apply", "cancel"]


def test_failed_rows_are_written_in_the_kind_of_the_file(directory: Directory, table: Path, tmp_path: Path) -> None:
    run("import", str(table), "--failed", str(tmp_path / "bad.csv"), lang="zh-CN")
    assert (tmp_path / "bad.csv").read_text() == f"{api.TABLE_FORMAT_CSV} zh-CN failed"


def test_it_waits_where_the_service_wants_fewer_calls(
    directory: Directory, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("services.cli.member_imports.time.sleep", waited.append)
    directory.busy = True
    assert run("import", str(table)).exit_code == 0
    assert (waited, directory.content) == ([1], table.read_bytes())


def test_a_template_is_written(directory: Directory, tmp_path: Path) -> None:
    assert run("template", str(tmp_path / "t.xlsx")).exit_code == 0
    assert (tmp_path / "t.xlsx").read_text() == f"{api.TABLE_FORMAT_XLSX} en"
    assert run("template", str(tmp_path / "no" / "t.xlsx")).exit_code == 2


def test_a_file_that_is_not_there_is_named(directory: Directory) -> None:
    done = run("import", "nowhere.csv")
    assert (done.exit_code, directory.asked) == (2, [])
    assert "nowhere.csv" in done.stderr


def test_the_providers_people_are_waited_for_and_shown(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("services.cli.member_imports.time.sleep", waited.append)
    done = run("import", "--from-provider")
    assert (done.exit_code, directory.asked, len(waited)) == (0, ["provider", "cancel"], 2)
    assert "accounts to be closed" in done.stdout
    assert "gone: the account is closed" in done.stdout
    assert done.stdout.endswith("Nothing was changed. To do it, add --apply.\n")


def test_the_providers_people_are_taken_in(directory: Directory) -> None:
    directory.states = [pb.IMPORT_STATE_CHECKED]
    done = run("import", "--from-provider", "--apply")
    assert (done.exit_code, directory.asked) == (0, ["provider", "apply"])
    assert done.stdout.endswith("The provider's people were taken in.\n")


def test_why_the_providers_people_did_not_come(directory: Directory) -> None:
    directory.states = [pb.IMPORT_STATE_FAILED]
    done = run("import", "--from-provider", "--apply")
    assert (done.exit_code, directory.asked) == (3, ["provider", "cancel"])
    assert "could not be fetched: is away" in done.stderr


@pytest.mark.parametrize("both", [True, False])
def test_people_are_of_a_file_or_of_the_provider(table: Path, both: bool) -> None:
    done = run("import", *([str(table), "--from-provider"] if both else []))
    assert done.exit_code == 2
    assert "Give either a file or --from-provider." in done.stderr
