"""What follows from services/installation/registry.py, in files that cannot import it: `python -m tools.derived`.

Each such file has one or more places between two marks; what stands there is made, the rest is written by hand.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from services.contracts import subjects
from services.installation.registry import (
    BUS_USERS,
    EVENT_STREAMS,
    GRANTS,
    PORTAL,
    PROGRAMS,
    SERVICE_NAMES,
    SERVICES,
    ProgramEntry,
)
from services.installation.topology import CONSUMERS

ROOT = Path(__file__).parents[1]
PLACE = re.compile(
    r"(?P<begin>^ *(?:#|--) made by `python -m tools\.derived`: (?P<name>[a-z ]+)\n).*?(?P<end>^ *(?:#|--) end of \2$)",
    re.DOTALL | re.MULTILINE,
)
WIDTH = 116
TOGETHER = ("standin",)
"""Packages beside the programs that are no part of an installation."""


def render(path: str) -> str:
    """The file with fresh content between its marks. Raises KeyError for a mark of another name."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return PLACE.sub(lambda found: found["begin"] + joined(MADE[path][found["name"]](text)) + found["end"], text)


def joined(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" if line else "\n" for line in lines)


# the bus: who may say what (nats.conf)


def bus_users(_: str) -> Iterator[str]:
    for each in (*SERVICES, PORTAL):
        yield f"    {{ user: {each.name}, password: $NATS_{each.name.upper()}_PASSWORD, permissions: {{"
        yield from subject_list("publish", [*(own_subjects(each) if each in SERVICES else ()), *published(each)])
        heard = [*each.answers, *([f"{each.name}.outbox"] if each in SERVICES else ()), *each.listens, GRANTS]
        yield from subject_list("subscribe", [*heard, f"_INBOX_{each.name}.>"])
        if each.answers:  # one answer to each question, and to nobody else
            yield f'      allow_responses: {{ max: 1, expires: "{each.answer_seconds}s" }}'
        yield "    } }"
        yield ""


def own_subjects(service: ProgramEntry) -> list[str]:
    return [f"yunhui.{service.name}.>", f"{service.name}.outbox"]


def published(program: ProgramEntry) -> Iterator[str]:
    yield from program.asks
    yield subjects.INTRODUCE  # whoever is asked by strangers
    yield from program.publishes
    yield "$JS.API.STREAM.MSG.GET.KV_grants"
    for each in CONSUMERS:
        if each.config.durable_name == program.name:
            yield f"$JS.API.CONSUMER.INFO.{each.stream}.{program.name}"
            yield f"$JS.API.CONSUMER.MSG.NEXT.{each.stream}.{program.name}"
            yield f"$JS.ACK.{each.stream}.{program.name}.>"


def readable(_: str) -> Iterator[str]:
    """What a subscriber may do to consumers of its own making, on every stream of events."""
    for stream in EVENT_STREAMS.values():
        acts = (f"CREATE.{stream}.>", f"INFO.{stream}.*", f"MSG.NEXT.{stream}.*")
        yield "          " + ", ".join(f'"$JS.API.CONSUMER.{act}"' for act in acts)


def protected(_: str) -> Iterator[str]:
    """The durable consumers of programs, which are not a subscriber's."""
    for each in CONSUMERS:
        of = f"{each.stream}.{each.config.durable_name}"
        yield "          " + ", ".join(f'"$JS.API.CONSUMER.{act}"' for act in (f"CREATE.{of}", f"CREATE.{of}.>"))
        yield "          " + ", ".join(f'"$JS.API.CONSUMER.{act}"' for act in (f"INFO.{of}", f"MSG.NEXT.{of}"))


def subject_list(key: str, subjects: Sequence[str]) -> Iterator[str]:
    """On one line where it fits."""
    line = f"      {key}: [" + ", ".join(f'"{subject}"' for subject in subjects) + "]"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"      {key}: ["
    yield from (f'        "{subject}"' for subject in subjects)
    yield "      ]"


# production on one machine (compose.yaml, create_databases.sql, .env.example)


def bus_passwords(_: str) -> Iterator[str]:
    yield from (f"      {password(user)}: ${{{password(user)}:?see .env.example}}" for user in BUS_USERS)


def composed(text: str) -> Iterator[str]:
    """The programs; what one is told besides stands by hand, in `x-NAME`."""
    told = yaml.safe_load(text)
    for each in (*SERVICES, PORTAL):
        yield f"  {each.name}:"
        yield f"    <<: *{'program' if each in SERVICES else 'pages'}"
        yield f'    command: ["python", "-m", "services.{each.name}"]'
        if each.reached:
            yield "    ports: [{}]".format(", ".join(f'"127.0.0.1:{port}:{port}"' for port in each.reached))
        yield "    environment:"
        yield f"      <<: {f'[*environment, *{each.name}]' if f'x-{each.name}' in told else '*environment'}"
        yield f"      YUNHUI_NATS_USER: {each.name}"
        yield f"      YUNHUI_NATS_PASSWORD: ${{{password(each.name)}:?see .env.example}}"
        yield f"      YUNHUI_LISTEN: 0.0.0.0:{each.port}"
        if each in SERVICES:
            database = f"postgresql+psycopg://yunhui:${{POSTGRES_PASSWORD}}@postgres/{each.name}"
            yield f"      YUNHUI_DATABASE_URL: {database}"
        else:
            yield from (f"      YUNHUI_{name.upper()}_ADDRESS: http://{name}:{port}" for name, port in addresses())
        yield ""


def addresses() -> list[tuple[str, int]]:
    return [(service.name, service.port) for service in SERVICES]


def databases(_: str) -> Iterator[str]:
    yield from (f"CREATE DATABASE {name};" for name in SERVICE_NAMES)


def passwords(_: str) -> Iterator[str]:
    yield from (f"{password(user)}=" for user in BUS_USERS)


def password(user: str) -> str:
    return f"NATS_{user.upper()}_PASSWORD"


# walls (pyproject.toml)


def side_by_side(_: str) -> Iterator[str]:
    names = sorted([*(each.name for each in PROGRAMS), *TOGETHER, "installation"])
    yield f'    "{" | ".join(names)}",'


def not_for_the_command(_: str) -> Iterator[str]:
    yield from (f'    "services.{name}",' for name in sorted([*(each.name for each in PROGRAMS), *TOGETHER]))


MADE: Mapping[str, Mapping[str, Callable[[str], Iterator[str]]]] = {
    "services/installation/nats.conf": {
        "rights of programs": bus_users,
        "streams that may be read": readable,
        "consumers of programs": protected,
    },
    "compose.yaml": {"passwords of the bus": bus_passwords, "programs": composed},
    "tools/create_databases.sql": {"databases": databases},
    ".env.example": {"passwords of the bus": passwords},
    "pyproject.toml": {"programs side by side": side_by_side, "programs": not_for_the_command},
}
"""By file and by the name in its mark."""

if __name__ == "__main__":
    for file in MADE:
        (ROOT / file).write_text(render(file), encoding="utf-8")
