"""The chain of an audit log: what the hash of an entry covers, and which entry is the first that is broken."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

GENESIS = "0" * 64
"""What stands in the first entry for the hash of the one before it."""
CHANGED, UNLINKED, MISSING, REPEATED, NOT_AS_NOTED = "CHANGED", "UNLINKED", "MISSING", "REPEATED", "NOT_AS_NOTED"


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """One act done with power over others. `time` is epoch ms; `detail` canonical JSON. Hashed in this order."""

    number: int
    time: int
    actor: str
    roles: str
    method: str
    target_kind: str
    target_id: str
    account_id: str
    outcome: str
    detail: str
    previous_hash: str
    hash: str


FIELDS = tuple(each.name for each in fields(ChainEntry))


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Number of the first broken entry, and what is wrong with it."""

    number: int
    reason: str


def canonical(content: Any) -> str:
    """The one way to write it down: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(*values: Any) -> str:
    """SHA-256, hexadecimal, over all fields but the hash, in their order."""
    return hashlib.sha256(canonical(list(values)).encode()).hexdigest()


class Check:
    """Follows a chain entry by entry, oldest first. `noted`: hashes by number, as they were seen earlier.

    An entry that was forged together with its hash shows at the one after it, and the last one only by what was noted.
    """

    def __init__(self, noted: Mapping[int, str] | None = None) -> None:
        self.number = 0
        self.hash = GENESIS
        self.fault: ChainFault | None = None
        self._noted = dict(noted or {})

    def follow(self, entries: Iterable[ChainEntry]) -> None:
        for entry in entries:
            if self.fault:
                return
            self._take(entry)

    def finish(self) -> ChainFault | None:
        """After the last entry: what was noted must have come by."""
        beyond = [number for number in self._noted if number > self.number]
        if beyond and not self.fault:
            self.fault = ChainFault(self.number + 1, MISSING)
        return self.fault

    def _take(self, entry: ChainEntry) -> None:
        reason = self._reason(entry)
        if reason:
            self.fault = ChainFault(self.number + 1 if reason == MISSING else entry.number, reason)
        else:
            self.number, self.hash = entry.number, entry.hash

    def _reason(self, entry: ChainEntry) -> str:
        if entry.number != self.number + 1:
            return MISSING if entry.number > self.number + 1 else REPEATED
        if entry.hash != digest(*astuple(entry)[:-1]):
            return CHANGED
        if entry.previous_hash != self.hash:
            return UNLINKED
        return NOT_AS_NOTED if self._noted.get(entry.number, entry.hash) != entry.hash else ""
