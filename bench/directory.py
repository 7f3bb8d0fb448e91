"""The directory of a large organization: finding members, pages of the tree and by SCIM, an import, a role that many
have, and its memory.

One administrator asks at a time, of all or of one subtree; the kinds of questions take turns, a slice each. Beside
the time that a caller sees stands the CPU time of the directory, and of PostgreSQL where it is used, per call.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import import_service_pb2 as import_api
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import provisioning_service_pb2 as provisioning_api

from bench import bookers, granting, organization, processes, provisioning
from bench.booking import Bench, Figures, median
from bench.installation import Installation, running
from bench.load import Call, Job, Outcome, Person
from bench.organization import SCOPED, department_id
from bench.portal import p95
from bench.postgres import Server
from services.cli.client import Connection, DirectoryStubs
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.ports import free_port
from services.installation.state import State

LIST = "/yunhui.directory.v1.MemberService/ListMembers"
CHILDREN = "/yunhui.directory.v1.DepartmentService/ListDepartments"
ADMINISTRATORS = 100
"""Who ask in turn: one alone would come up against the limit of calls."""
PART = 200_000
IMPORT_SECONDS = 120.0
FIRST: dict[str, Any] = {"department_id": department_id(0), "below": True}
"""The subtree with four in five members."""

NEWEST = member_api.MEMBER_ORDER_NEWEST

Questions = tuple[str, Sequence[Message]]
Ask = Callable[[float], Outcome]
"""For so many seconds."""


def questions() -> Mapping[str, Questions]:
    """Method and requests by kind."""
    initials = [f"{one}{other}" for one, other in itertools.product("wlzc", "wfxy")]
    enabled: dict[str, Any] = {
        "statuses": [pb.MEMBER_STATUS_ENABLED],
        "account_types": [pb.ACCOUNT_TYPE_FREE],
    }
    few: dict[str, Any] = {"statuses": [pb.MEMBER_STATUS_DISABLED]}
    filtered = [member_api.ListMembersRequest(**each) for each in (enabled, {**enabled, "order": NEWEST}, few)]
    return {
        "search_all": (LIST, [member_api.ListMembersRequest()]),
        "search_subtree": (LIST, [member_api.ListMembersRequest(**FIRST)]),
        "search_filters": (LIST, [member_api.ListMembersRequest(**FIRST, **each) for each in (enabled, few)]),
        "search_scoped": (LIST, [member_api.ListMembersRequest()]),
        "search_scoped_filters": (LIST, filtered),
        "search_initials": (LIST, [member_api.ListMembersRequest(**FIRST, query=each) for each in initials]),
        "tree": (
            CHILDREN,
            [department_api.ListDepartmentsRequest(parent_id=each) for each in ("", department_id(0))],
        ),
    }


def measure(bench: Bench, name: str, databases: Server | None = None) -> Figures:
    keys = bookers.make_issuer(bench.folder / "issuer")
    tokens = [issuer.mint(keys, SampleAccount(f"admin-{number}", "admin")) for number in range(ADMINISTRATORS)]
    scoped = [issuer.mint(keys, SampleAccount(organization.member_id(each), "booker")) for each in range(SCOPED)]
    scim = f"127.0.0.1:{free_port()}"
    if databases:
        databases.empty()
    environment = {"YUNHUI_SCIM_LISTEN": scim}
    place = Installation(bench.folder / f"directory-{name}", keys, databases, environment=environment)
    with running(place):
        pass  # its tables are there now
    bench.tell(f"directory {name}: filling")
    organization.fill(_url(place.state, databases))
    with running(place):
        processes.wait_until_quiet(place.programs)  # what administrators of a part may do is known then

        def say(what: str) -> None:
            bench.tell(f"directory {name}: {what}")

        figures = _ask(bench, place, _series(bench, place, tokens, scoped) | _provisioning(place, scim, tokens), say)
        say("a role that 10,000 have")
        figures |= _grant(place, tokens[0])
        say("import")
        figures |= _take_in(place, itertools.cycle(tokens))
        figures["directory_rss_mb"] = processes.resident_mb(place.programs["directory"])
    return {figure: median([value]) for figure, value in figures.items()}


def _url(state: State, databases: Server | None) -> str:
    if databases is None:
        return f"sqlite:///{state.database('directory')}"
    return sa.make_url(databases.url).set(database="directory").render_as_string(hide_password=False)


def _series(bench: Bench, place: Installation, tokens: Sequence[str], scoped: Sequence[str]) -> dict[str, Ask]:
    def ask(method: str, people: list[Person]) -> Callable[[float], Outcome]:
        return lambda seconds: bench.client.run(Job(place.directory, method, people, 1, seconds, again=True))

    return {
        kind: ask(method, _people(each, scoped if "scoped" in kind else tokens))
        for kind, (method, each) in questions().items()
    }


def _provisioning(place: Installation, address: str, tokens: Sequence[str]) -> dict[str, Ask]:
    request = provisioning_api.CreateProvisioningTokenRequest(display_name="bench")
    with Connection(DirectoryStubs, place.directory, tokens[0]) as directory:
        secret = directory.ask(directory.stub.provisioning.CreateProvisioningToken, request).secret
    return {kind: partial(provisioning.ask, address, secret, kind) for kind in provisioning.PATHS}


def _grant(place: Installation, token: str) -> dict[str, float]:
    before, of_all = _cpu(place), processes.cpu_seconds(place.programs)
    seconds = granting.spread(place.directory, token, place.bus)
    spent = processes.spent(of_all, processes.cpu_seconds(place.programs))
    return {
        "directory_role_seconds": seconds,
        "directory_role_cpu_seconds": _cpu(place) - before,
        "directory_role_cpu_seconds_all": spent,
    }


def _ask(bench: Bench, place: Installation, asked: Mapping[str, Ask], say: Callable[[str], None]) -> dict[str, float]:
    found: dict[str, Outcome] = {kind: Outcome() for kind in asked}
    spent = dict.fromkeys(asked, 0.0)
    for number in range(bench.rounds + 1):
        for kind, ask in asked.items():
            before = _cpu(place)
            some = ask(bench.seconds / 2)
            if number:  # the first round warms up
                spent[kind] += _cpu(place) - before
                found[kind].add(some)
    for kind, outcome in found.items():
        say(f"{kind} {p95(outcome.latencies):.0f} ms, {len(outcome.latencies)} calls")
    figures = {f"directory_{kind}_p95_ms": p95(outcome.latencies) for kind, outcome in found.items()}
    for of_several in ("search", "scim"):
        worst = max(value for name, value in figures.items() if f"_{of_several}_" in name)
        figures[f"directory_{of_several}_p95_ms"] = worst
    return figures | {f"directory_{kind}_cpu_ms": 1e3 * spent[kind] / len(found[kind].latencies) for kind in asked}


def _people(asked: Sequence[Message], tokens: Sequence[str]) -> list[Person]:
    bodies = [each.SerializeToString() for each in asked]
    return [[Call(body, token)] for body, token in zip(itertools.cycle(bodies), tokens, strict=False)]


def _cpu(place: Installation) -> float:
    """Of the directory and its database server, in seconds."""
    programs = {name: pid for name, pid in place.programs.items() if name in ("directory", "postgresql")}
    return sum(processes.cpu_seconds(programs).values())


def _take_in(place: Installation, tokens: Iterator[str]) -> dict[str, float]:
    """From the first byte of the file until all are members."""
    content = organization.newcomers()
    begun, before = time.perf_counter(), _cpu(place)
    made = getattr(_call(place, tokens, "CreateImport", import_api.CreateImportRequest(file_name="new.csv")), "import")
    for start in range(0, len(content), PART):
        part = import_api.UploadImportPartRequest(
            import_id=made.import_id, offset=start, content=content[start : start + PART]
        )
        _call(place, tokens, "UploadImportPart", part)
    _call(place, tokens, "CheckImport", import_api.CheckImportRequest(import_id=made.import_id))
    checked = time.perf_counter()
    done = _call(place, tokens, "ApplyImport", import_api.ApplyImportRequest(import_id=made.import_id))
    ended = time.perf_counter()
    if getattr(done, "import").summary.create_count != organization.NEWCOMERS:
        raise RuntimeError(f"not all were taken in: {done}")
    return {
        "directory_import_seconds": ended - begun,
        "directory_import_check_seconds": checked - begun,
        "directory_import_cpu_seconds": _cpu(place) - before,
    }


def _call(place: Installation, tokens: Iterator[str], method: str, request: Message) -> Message:
    with Connection(DirectoryStubs, place.directory, next(tokens)) as directory:
        answer: Message = directory.ask(getattr(directory.stub.imports, method), request, IMPORT_SECONDS)
        return answer
