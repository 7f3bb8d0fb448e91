"""What a client was told, as a line of its log: what the checker holds the database to."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from yunhui.booking.v1 import reservation_pb2 as pb

from services.platform.clock import from_timestamp


@dataclass(frozen=True, slots=True)
class Facts:
    """A reservation as it was answered. Times are epoch ms; room_id is "" while it has none."""

    reservation_id: str
    version: int
    state: str
    room_id: str
    start_time: int
    end_time: int

    @classmethod
    def of(cls, record: pb.Reservation) -> Self:
        return cls(
            record.reservation_id,
            record.version,
            pb.ReservationState.Name(record.state).removeprefix("RESERVATION_STATE_"),
            record.room.room_id,
            from_timestamp(record.start_time),
            from_timestamp(record.end_time),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One request that came to its end. `outcome` is an Outcome without its prefix, or the code of an error.

    `lost`: how often it was sent again because the connection broke before the answer came; `refused`: how often
    because the service said that it is away or too busy.
    """

    method: str
    account_id: str
    request_id: str
    outcome: str
    decision_id: str = ""
    rules: list[str] = field(default_factory=list)
    facts: Facts | None = None
    lost: int = 0
    refused: int = 0

    @property
    def accepted(self) -> bool:
        return self.outcome in ("CONFIRMED", "PENDING_APPROVAL", "CANCELLED")


def write(path: Path, answers: Iterable[Answer]) -> None:
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in answers))


def read(path: Path) -> list[Answer]:
    return [_from_json(json.loads(line)) for line in path.read_text().splitlines()]


def _from_json(line: dict[str, Any]) -> Answer:
    facts = line.pop("facts")
    return Answer(**line, facts=Facts(**facts) if facts else None)
