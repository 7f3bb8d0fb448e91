"""Begins a program: `make new-service NAME=library ENTITY=book` writes what every service with data has.

The contract, the table and the method of one entity are a beginning to be changed; `make check` passes with them, and
`make up` starts the program beside the others. What follows from the registry is written by `make generated`.
"""

import argparse
import importlib
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from sqlmodel import SQLModel

from services.installation.registry import BUS_USERS, OTHER_PORTS, PROGRAMS, SERVICE_NAMES

ROOT = Path(__file__).parents[1]
WORD = re.compile(r"[a-z][a-z0-9]*")
REGISTRY, PAGE = "services/installation/registry.py", "docs/architecture.md"
END_OF_SERVICES = ')\n"""With data, and so gRPC'
LAST_ROW = "| `services/installation/` |"

PROTO = """\
syntax = "proto3";

package yunhui.{name}.v1;

import "yunhui/access/v1/access.proto";

// Keeps every {entity}.
service {Name}Service {{
  // One {entity}. Errors: NOT_FOUND.
  rpc Get{Entity}(Get{Entity}Request) returns (Get{Entity}Response) {{
    option (yunhui.access.v1.permission) = "reservations.view_all";
  }}
}}

// One {entity}.
message {Entity} {{
  // Stable id.
  string {entity}_id = 1;
  // What people call it.
  string display_name = 2;
}}

// Asks for one.
message Get{Entity}Request {{
  // Its id.
  string {entity}_id = 1;
}}

// What was found.
message Get{Entity}Response {{
  // As it is stored now.
  {Entity} {entity} = 1;
}}
"""

MAIN = '''\
"""The program {name} on the host that all services share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from yunhui.{name}.v1.{name}_service_pb2_grpc import add_{Name}ServiceServicer_to_server

from services.{name} import api, models
from services.platform.host import Host, HostSettings, Service, run
from services.platform.messaging.outbox import Relay


@asynccontextmanager
async def start(host: Host[HostSettings]) -> AsyncIterator[Service]:
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        service = api.{Name}Service(host.database)
        yield Service(
            servicers={{api.SERVICE: partial(add_{Name}ServiceServicer_to_server, service)}},
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=[relay.run()],
        )


if __name__ == "__main__":
    run("{name}", HostSettings, start)
'''

API = '''\
"""All that {name} does for callers, one method an RPC."""

from sqlmodel import Session
from yunhui.{name}.v1 import {name}_service_pb2 as pb
from yunhui.{name}.v1 import {name}_service_pb2_grpc as pb_grpc

from services.{name}.models import {Entity}
from services.platform.data.database import Database
from services.platform.serving import errors, permissions, rpc
from services.platform.text.messages import message

SERVICE = "yunhui.{name}.v1.{Name}Service"
NEEDED = permissions.of(SERVICE)


class {Name}Service(pb_grpc.{Name}ServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def Get{Entity}(self, request: pb.Get{Entity}Request, context: rpc.Context) -> pb.Get{Entity}Response:
        found = await self._database.read_fresh(lambda work: Session(work).get({Entity}, request.{entity}_id))
        if found is None:
            raise errors.not_found("{entity}", message("There is nothing here"))
        return pb.Get{Entity}Response({entity}=to_message(found))


def to_message(row: {Entity}) -> pb.{Entity}:
    return pb.{Entity}({entity}_id=row.{entity}_id, display_name=row.display_name)
'''

MODELS = '''\
"""The tables of {name}. Times are epoch milliseconds."""

from sqlmodel import Field, SQLModel

from services.platform.data import audit
from services.platform.messaging import outbox


class {Entity}(SQLModel, table=True):
    """One {entity}."""

    {entity}_id: str = Field(primary_key=True)
    display_name: str


TABLES: list[type[SQLModel]] = [{Entity}, *outbox.TABLES, *audit.TABLES]
'''

TEST = '''\
"""What callers of {name} are answered."""

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session
from yunhui.{name}.v1 import {name}_service_pb2 as pb

from services.{name}.api import {Name}Service
from services.{name}.models import {Entity}
from services.platform.data.database import Database
from services.platform.serving.errors import RpcError

CONTEXT: Any = None


async def test_a_{entity}_is_found_by_its_id(tmp_path: Path) -> None:
    """And what is not there is said to be so."""
    database = Database(f"sqlite:///{{tmp_path}}/{name}.db")
    database.migrate("services.{name}")
    with Session(database.engine) as session:
        session.add({Entity}({entity}_id="1", display_name="First"))
        session.commit()
    service = {Name}Service(database)
    answer = await service.Get{Entity}(pb.Get{Entity}Request({entity}_id="1"), CONTEXT)
    assert answer.{entity} == pb.{Entity}({entity}_id="1", display_name="First")
    with pytest.raises(RpcError, match="There is nothing here"):
        await service.Get{Entity}(pb.Get{Entity}Request({entity}_id="2"), CONTEXT)
    database.close()
'''

FILES: Mapping[str, str] = {
    "proto/yunhui/{name}/v1/{name}_service.proto": PROTO,
    "services/{name}/__init__.py": "",
    "services/{name}/__main__.py": MAIN,
    "services/{name}/api.py": API,
    "services/{name}/models.py": MODELS,
    "tests/{name}/test_api.py": TEST,
}


def words(name: str, entity: str) -> dict[str, str]:
    return {"name": name, "entity": entity, "Name": name.capitalize(), "Entity": entity.capitalize()}


def begin(name: str, entity: str) -> Iterator[str]:
    """Writes the files, and gives their paths. Raises ValueError for a name that is taken or no word."""
    refuse(name, entity)
    told = words(name, entity)
    for place, content in FILES.items():
        path = place.format(**told)
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content.format(**told), encoding="utf-8")
        yield path
    first = max(port for each in PROGRAMS for port in (each.port, each.metrics_port, *OTHER_PORTS.values())) + 1
    insert(REGISTRY, f'    ProgramEntry("{name}", {first}, {first + 1}),\n', before=END_OF_SERVICES)
    insert(PAGE, f"| `services/{name}/` | owns every {entity} |\n", before=LAST_ROW)
    yield from (REGISTRY, PAGE)


def refuse(*names: str) -> None:
    for each in names:
        if not WORD.fullmatch(each):
            raise ValueError(f"{each!r} is no word of a-z and 0-9")
    name, entity = names
    taken = {*BUS_USERS, *OTHER_PORTS, *composed_names()}
    if name in taken or any((ROOT / folder / name).exists() for folder in ("services", "proto/yunhui", "tests")):
        raise ValueError(f"there is a {name} already")
    if any(keyword.iskeyword(each) for each in names):
        raise ValueError("a keyword of Python can be no name")
    if entity in tables():
        raise ValueError(f"another service has a table {entity} already")


def composed_names() -> set[str]:
    """What compose.yaml calls its services, and what it shares among them."""
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return {*composed["services"], *(key.removeprefix("x-") for key in composed)}


def tables() -> set[str]:
    """Of all services: models are imported into one process by tests."""
    for service in SERVICE_NAMES:
        importlib.import_module(f"services.{service}.models")
    return set(SQLModel.metadata.tables)


def insert(path: str, line: str, *, before: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    if text.count(before) != 1:
        raise ValueError(f"{path}: no one place before {before!r}")
    (ROOT / path).write_text(text.replace(before, line + before), encoding="utf-8")


def finish(name: str) -> None:
    """What is made of the files: stubs, the first migration, and all that follows from the registry."""
    made_by = ("tools/generate_stubs", "proto/gen")
    subprocess.run(made_by, cwd=ROOT, check=True)  # noqa: S603 - constants
    for module in (("tools.new_migration", name, "initial"), ("tools.generated",)):
        subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=True)  # noqa: S603 - a checked word
    ruff = str(Path(sys.executable).with_name("ruff"))
    for act in (("check", "--select=I", "--fix"), ("format",)):
        folders = [f"services/{name}", f"tests/{name}"]
        subprocess.run([ruff, *act, "--quiet", *folders], cwd=ROOT, check=True)  # noqa: S603 - as above


def main() -> None:
    parser = argparse.ArgumentParser(prog="make new-service", description=__doc__)
    parser.add_argument("name", help="of the program, one word: library")
    parser.add_argument("entity", help="the first thing that it keeps, one word: book")
    given = parser.parse_args()
    try:
        for path in begin(given.name, given.entity):
            print(path)
    except ValueError as error:
        parser.error(str(error))
    finish(given.name)


if __name__ == "__main__":
    main()
