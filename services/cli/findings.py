"""What a check of `yunhui doctor` found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.cli import myself
from services.platform.text.messages import Text


@dataclass(frozen=True, slots=True)
class Finding:
    """`warns`: when it is not good, nothing is broken yet. `values` are those of the way out."""

    what: str
    good: bool
    detail: str
    way_out: Text | None = None
    warns: bool = field(default=False, kw_only=True)
    values: Mapping[str, object] = field(default_factory=dict, kw_only=True)

    @property
    def state(self) -> str:
        """ok, warn or fail."""
        if self.good:
            return "ok"
        return "warn" if self.warns else "fail"

    def way_out_in(self, language: str) -> str:
        """Empty when all is well, or nobody knows one."""
        return "" if self.good or self.way_out is None else myself.said(self.way_out, language, **self.values)

    def to_json(self, language: str) -> dict[str, Any]:
        way_out = {"wayOut": said} if (said := self.way_out_in(language)) else {}
        return {"check": self.what, "ok": self.good, "state": self.state, "detail": self.detail, **way_out}
