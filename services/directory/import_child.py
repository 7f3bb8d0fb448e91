"""Reads a table in a process of its own, which can be given little memory and time: files come from anywhere.

It is told nothing but the file, and answers with JSON, a line each: the head or why there is none, then the rows.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

from services.directory import import_columns, import_tables
from services.platform.serving import errors
from services.platform.text.messages import Text, message

MOST_SECONDS = 40
MOST_MEMORY = 700_000_000
"""Bytes of addresses. 20,000 usual rows take 175 MB, 150 MB of which is Python with its libraries."""
PASSED_ON = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""Of the environment: no address, no secret."""


async def read(content: bytes) -> tuple[list[str], list[str]]:
    """The cells of the head, and a JSON object (import_columns.Given) for each row. Raises errors.RpcError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.directory.import_child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
    )
    try:
        async with asyncio.timeout(MOST_SECONDS):
            answer, _ = await process.communicate(content)
    except TimeoutError as error:
        raise errors.invalid("file", message("takes too long to be read: split it into several files")) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:  # out of memory, or the reader fell over it
        raise errors.invalid("file", message("is damaged, or holds too much: split it, or save it as CSV"))
    head, *rows = answer.decode().removesuffix("\n").split("\n")
    found = json.loads(head)
    if "fault" in found:
        raise errors.invalid("file", Text(found["fault"], values=found["values"]))
    return found["head"], rows


def answer(content: bytes) -> Iterator[dict[str, Any]]:
    try:
        head, rows = import_columns.read_rows(import_tables.read(content))
    except import_tables.TableError as error:
        yield {"fault": str(error.words), "values": {**error.words.values}}
        return
    yield {"head": head}
    for row in rows:
        yield {name: getattr(row, name) for name in import_columns.Given.__slots__}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    for each in answer(sys.stdin.buffer.read()):
        sys.stdout.buffer.write(json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


if __name__ == "__main__":
    main()
