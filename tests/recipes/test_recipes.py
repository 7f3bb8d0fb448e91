"""The recipes of CONTRIBUTING.md are played: each is done in a copy, and proved there, in as few files as it says."""

import re
from pathlib import Path

import pytest

from tests.recipes.copies import ROOT, Copy

EXAMPLES = {"program": {"NAME": "library"}}
"""What a recipe's NAME is when it is played."""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy.make(tmp_path)


def listed(recipe: str) -> set[str]:
    """The files that CONTRIBUTING.md tells whoever follows the recipe to write, with the example's names."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^### [^\n]*<!-- recipe: {recipe} -->\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    assert section, f"CONTRIBUTING.md has no recipe {recipe}"
    paths = re.findall(r"^\d+\. `([^`]+)`", section[1], re.MULTILINE)
    return {with_names(path, EXAMPLES.get(recipe, {})) for path in paths}


def with_names(path: str, names: dict[str, str]) -> str:
    for placeholder, name in names.items():
        path = path.replace(placeholder, name)
    return path


@pytest.mark.long
def test_a_program(copy: Copy) -> None:
    """It passes every check, starts with `up` beside the others, and answers whoever may ask."""
    written = set(copy.make_target("new-service", "NAME=library", "ENTITY=book").split()) & {
        str(path.relative_to(copy.root)) for path in copy.root.rglob("*") if path.is_file()
    }
    assert written == listed("program")
    assert len(written) <= 8
    copy.make_target("check")
    copy.test("tests/contract/test_registry.py", "tests/contract/test_permissions.py", "tests/library")
    copy.test("tests/plumbing/test_migrations.py", "-k", "library and not postgres")
    proof = copy.root / "tests" / "system" / "test_library.py"
    proof.write_text(PROGRAM_RUNS, encoding="utf-8")
    copy.test(str(proof))


PROGRAM_RUNS = '''
"""The new program under `up`."""

from pathlib import Path

import grpc
import pytest
from yunhui.library.v1 import library_service_pb2 as pb
from yunhui.library.v1.library_service_pb2_grpc import LibraryServiceStub

import services
from tests.system.stack import Stack


def test_it_runs(tmp_path: Path) -> None:
    """Whoever may not ask is refused by the guard, whoever may gets the service's own answer."""
    assert Path(__file__).parents[2] == Path(services.__path__[0]).parent
    stack = Stack(tmp_path / "state")
    stack.start()
    with grpc.insecure_channel(stack.run["library"]) as channel:
        for role, code in (("booker", grpc.StatusCode.PERMISSION_DENIED), ("admin", grpc.StatusCode.NOT_FOUND)):
            token = ("authorization", f"Bearer {stack.login(role).token}")
            with pytest.raises(grpc.RpcError) as refused:
                LibraryServiceStub(channel).GetBook(pb.GetBookRequest(book_id="1"), metadata=[token])
            assert refused.value.code() == code
    assert stack.yunhui("doctor").code == 0
    stack.stop()
'''
