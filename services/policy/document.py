"""The form of a policy file: its keys and their types. What they mean together is checked in checks.py."""

import difflib
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

MAX_INTEGER = 2**62  # beyond it the engine's own integers are no longer exact
MAX_RULES = 200  # near 512 distinct conditions the engine never returns from compiling
MAX_FIRED = 60  # a question that fires more than 64 alternatives at once is an error of the engine
MAX_NAMES = 60  # and so is a message of some more than 128 fields
MAX_TEXT = 1024
MAX_ID = 128
LONGEST = {"seconds": 3_155_760_000, "days": 36_525}  # a century: beyond it moments could not be written down

ActionName = Literal["CREATE", "UPDATE", "CANCEL", "NO_SHOW"]
EffectName = Literal["ALLOW", "ESCALATE", "REDIRECT", "DENY"]
StatusName = Literal[
    "PENDING_APPROVAL", "CONFIRMED", "IN_USE", "COMPLETED", "NO_SHOW", "CANCELLED", "DECLINED", "EXPIRED"
]
ObligationName = Literal[
    "CHECK_ATTENDANCE", "RELEASE_ROOM", "RECORD_VIOLATION", "SUSPEND", "NOTIFY_SUPPORT", "EXPIRE_ESCALATION"
]
MeasureName = Literal[
    "start", "end", "now", "lead", "elapsed", "duration", "days_ahead", "participant_count", "free_room_count",
    "suspension_remaining", "suspension_end", "extends", "postpones", "committed_start", "committed_lead", "entered",
    "escalates_anew", "unverified", "free_account", "closed_account",
]  # fmt: skip
MoveName = Literal[
    "another_day", "later_start", "longer", "more_people", "fewer_people", "wait", "when_free", "as_held"
]  # fmt: skip
PeriodName = Literal["calendar_day", "calendar_week", "rolling_days"]
Operator = Literal["at_least", "more_than", "at_most", "less_than", "equal", "not_equal"]
WeekDay = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
RuleId = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,59}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
Limit = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Item = TypeVar("Item")
AtLeastOne = Annotated[list[Item], Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        """Before pydantic forbids it: a misspelt key is answered with the key that was meant."""
        if isinstance(data, dict):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in allowed:
                    raise _unknown_key(str(key), allowed)
        return data


def _unknown_key(key: str, allowed: list[str]) -> PydanticCustomError:
    close = difflib.get_close_matches(key, allowed, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(allowed)}"
    return PydanticCustomError("unknown_key", "unknown key '{key}'; {hint}", {"key": key, "hint": hint})


class Threshold(Strict):
    """A number that rules compare with; `favours` is the kinder way, which settles overrides of equal rank."""

    value: Limit
    unit: Literal["reservations", "violations", "escalations", "seconds", "days", "people", "rooms", "flag"]
    favours: Literal["higher", "lower"]


class ReservationCount(Strict):
    """How many reservations lie in a period around `of`; rolling_days is the span of n x 24 h that ends with it."""

    count: Literal["reservations"]
    period: PeriodName
    days: Name | None = None
    of: Literal["start", "now"]
    statuses: AtLeastOne[StatusName]
    cancelled_within: Name | None = None


class ViolationCount(Strict):
    """How many violations lie less than `within` away from now; `this_one_too` adds the one that is being decided."""

    count: Literal["violations"]
    within: Name
    leave_out: list[Literal["waived", "used_up"]]
    this_one_too: bool


class EscalationCount(Strict):
    """How many times support was asked in the period that now lies in, whatever came of it."""

    count: Literal["escalations"]
    period: Literal["calendar_day", "calendar_week"]


class Measure(Strict):
    """A figure of the request itself. Spans of time say how they become whole seconds.

    What is committed says with `within` how long before a start it is too late to give it up.
    `early`, of entered: being inside counts from so long before the start on; without it from the start on.
    """

    measure: MeasureName
    round: Literal["down", "up"] | None = None
    within: Name | None = None
    early: Name | None = None


def _fact_form(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    return str(data["count"]) if "count" in data else "measure"


Fact = Annotated[
    Annotated[ReservationCount, Tag("reservations")]
    | Annotated[ViolationCount, Tag("violations")]
    | Annotated[EscalationCount, Tag("escalations")]
    | Annotated[Measure, Tag("measure")],
    Discriminator(_fact_form),
]


class Compare(Strict):
    """One comparison: the fact on the left, a threshold or a literal value on the right."""

    fact: Name
    op: Operator
    threshold: Name | None = None
    value: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)] | None = None

    @model_validator(mode="after")
    def _one_right_side(self) -> "Compare":
        if (self.threshold is None) == (self.value is None):
            raise PydanticCustomError("right_side", "compare with either a threshold or a value, not both or neither")
        return self


class AllOf(Strict):
    all: AtLeastOne["Condition"]


class AnyOf(Strict):
    any: AtLeastOne["Condition"]


def _condition_form(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    return next((form for form in ("all", "any") if form in data), "compare")


Condition = Annotated[
    Annotated[AllOf, Tag("all")] | Annotated[AnyOf, Tag("any")] | Annotated[Compare, Tag("compare")],
    Discriminator(_condition_form),
]


class Reason(Strict):
    """One sentence in each language, with {name} or {name:spec} for figures; sentences.py has the specs."""

    zh_cn: Text = Field(alias="zh-CN")
    en: Text


class Obligation(Strict):
    """What the enforcing service must do. Which of the fields a kind needs is in checks.py."""

    kind: ObligationName
    seconds: Name | None = None
    address: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+$")] | None = (
        None
    )
    violations: Name | None = None
    early: Name | None = None


class StandingObligation(Obligation):
    """One that no rule asks for: it comes with the effects named."""

    on: AtLeastOne[ActionName]
    effects: AtLeastOne[EffectName]


class Remedy(Reason):
    """What helps: one move, or two that may be needed together; remedies.py says what each does.

    The sentences may also name what the remedy aims at: new_start_time, new_end_time, new_participant_count,
    available_from. Without moves it is something to do elsewhere, and `link` the page where.
    """

    moves: Annotated[list[MoveName], Field(min_length=1, max_length=2)] | None = None
    link: Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern=r"^https://[^\s<>\"]+$")] | None = None


class Rule(Strict):
    id: RuleId
    summary: Reason
    """The rule for everybody, with thresholds but no facts in it: what the rules page says."""
    on: AtLeastOne[ActionName]
    when: Condition
    effect: EffectName
    obligations: list[Obligation] = []
    reason: Reason
    remedy: Remedy | Literal["none"] | None = None


class DepartmentScope(Strict):
    """A department of the directory; with `below`, all departments below it too."""

    id: Id
    below: bool = False


def _department_form(data: Any) -> str:
    return "scope" if isinstance(data, dict | DepartmentScope) else "department"


class Override(Strict):
    """Other values for those of a department, a role, or a role within a department.

    A department is the name in people's tokens, or one of the directory by its id.
    """

    department: (
        Annotated[
            Annotated[Text, Tag("department")] | Annotated[DepartmentScope, Tag("scope")],
            Discriminator(_department_form),
        ]
        | None
    ) = None
    role: Text | None = None
    thresholds: Annotated[dict[Name, Limit], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_scope(self) -> "Override":
        if self.department is None and self.role is None:
            raise PydanticCustomError("no_scope", "an override needs a department, a role, or both")
        return self


class Document(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    zone: Text
    week_start: WeekDay
    precedence: list[EffectName]
    thresholds: Annotated[dict[Name, Threshold], Field(max_length=MAX_NAMES)]
    facts: Annotated[dict[Name, Fact], Field(max_length=MAX_NAMES)]
    rules: Annotated[list[Rule], Field(min_length=1, max_length=MAX_RULES)]
    obligations: list[StandingObligation] = []
    overrides: Annotated[list[Override], Field(max_length=1000)] = []
