"""What a policy file may say; every fault names its line, its rule, and what would be right."""

import pytest

from services.policy.decisions import Policy
from services.policy.yaml_source import InvalidPolicyError
from tests.policy.samples import SOURCE

CUTOFF = "booking_cutoff_seconds: {value: 1800, unit: seconds, favours: lower}"
DAILY = "{fact: reservations_that_day, op: at_least, threshold: daily_quota}"


def faults(source: str) -> list[str]:
    with pytest.raises(InvalidPolicyError) as caught:
        Policy.load(source)
    return [str(fault) for fault in caught.value.faults]


def line_of(text: str) -> int:
    return SOURCE[: SOURCE.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: reservations, favours: higher}\n  weekly", "unit: reservations}\n  weekly", "'favours' is missing"),
        ("daily_quota: {value: 3", "daily_quota: {value: 3.5", "'value' must be a whole number, not '3.5'"),
        ("daily_quota: {value: 3", "daily_quota: {value: 1e16", "'value' must be a whole number, not '1e16'"),
        ("daily_quota: {value: 3", "daily_quota: {value: '3'", "'value' must be a whole number, not '3'"),
        ("daily_quota: {value: 3", "daily_quota: {value: true", "'value' must be a whole number, not 'True'"),
        ("daily_quota: {value: 3", "daily_quota: {value: 30:00", "'value' must be a whole number, not '30:00'"),
        ("daily_quota: {value: 3", "daily_quota: {value: 010", "'value' must be a whole number, not '010'"),
        ("daily_quota: {value: 3", "daily_quota: {value: -1", "must be between 0"),
        ("daily_quota: {value: 3", "daily_quota: {value: 4611686018427387905", "must be between 0"),
        ("daily_quota: {value: 3", f"daily_quota: {{value: {'9' * 5000}", "must be a whole number"),
        ("daily_quota: {value: 3", "daily_quota: {value: &a 3", "anchors (&) and aliases (*) are not allowed"),
        ("daily_quota: {value: 3", "daily_quota: {value: !!int 3", "tags are not allowed"),
        ("daily_quota: {value: 3", "daily_quota: {vaule: 3", "unknown key 'vaule'; did you mean 'value'?"),
        ("suspension_seconds: {value: 604800", "suspension_seconds: {value: 3155760001", "longer than a century"),
        ("zone: Asia/Shanghai", "zone: Asia/Peking", "no time zone 'Asia/Peking'; give an IANA name"),
        ("zone: Asia/Shanghai", "zone: ../../etc/passwd", "no time zone"),
        ("week_start: monday", "week_start: mon", "'week_start' must be 'monday', 'tuesday'"),
        ("DENY, ESCALATE, ALLOW]", "DENY, ALLOW]", "must list each effect once"),
        ("DENY, ESCALATE, ALLOW]", "DENY, ALLOW, ESCALATE]", "ALLOW must come last"),
        ("period: calendar_day", "period: rolling_days", "`days` names the length of a rolling_days period"),
        ("measure: lead, round: down", "measure: lead", "`round: down` or `round: up` belongs to a span"),
        ("{measure: days_ahead}", "{measure: days_ahead, round: up}", "`round: down` or `round: up` belongs to a span"),
        ("{measure: extends}", "{count: people}", "tag 'people'"),
        ("{measure: extends}", "{measure: extends, early: no_show_seconds}", "`early` belongs to entered"),
        ("entered, early: early_entry_counts_seconds", "entered, early: daily_quota", "here it must be in seconds"),
        ("within: violation_window_seconds", "within: daily_quota", "is in reservations; here it must be in seconds"),
        ("within: violation_window_seconds", "within: window", "no threshold 'window'; there are"),
        ("name: default\n", "name: Default\n", "'name' must look like"),
    ],
)
def test_faults_of_the_frame(old: str, new: str, message: str) -> None:
    found = faults(SOURCE.replace(old, new, 1))
    assert message in found[0]
    assert found[0].startswith("line ")


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (DAILY, DAILY.replace("at_least", "'>='"), DAILY, "'op' must be 'at_least', 'more_than'"),
        (DAILY, DAILY.replace("reservations_that_day", "that_day"), DAILY, "no fact 'that_day'; there are"),
        (DAILY, DAILY.replace("daily_quota", "quota"), DAILY, "no threshold 'quota'"),
        (DAILY, DAILY.replace("daily_quota", "large_meeting_people"), DAILY, "is in people; here it must be in reserv"),
        (DAILY, DAILY.replace(", threshold: daily_quota", ""), DAILY, "either a threshold or a value"),
        (DAILY, DAILY.replace("}", ", value: 3}"), DAILY, "either a threshold or a value"),
        (DAILY, DAILY.replace("threshold: daily_quota", "value: 3 + 4"), DAILY, "must be a whole number"),
        (DAILY, "{all: []}", DAILY, "at least 1 item"),
        (DAILY, "nothing", DAILY, "Unable to extract tag"),
        (
            "每天最多 {daily_quota} 次。",
            "每天最多 {quota} 次。",
            "次预定，每天最多",
            "{quota} is neither a fact nor a threshold",
        ),
        ("每天最多 {daily_quota} 次。", "每天最多 {daily_quota 次。", "次预定，每天最多", "a lone brace"),
        ("{start_time:day}已有", "{start_time}已有", "次预定，每天最多", "is written with day or moment, not ''"),
        ("{start_time:day}已有", "{start_time:week}已有", "次预定，每天最多", "no way to write 'week'"),
    ],
)
def test_faults_of_a_rule_name_rule_and_line(old: str, new: str, where: str, message: str) -> None:
    found = faults(SOURCE.replace(old, new, 1))
    assert found[0].startswith(f"line {line_of(where)}, rule DAILY_QUOTA: ")
    assert message in found[0]


def test_a_missing_translation_is_refused() -> None:
    start, end = (
        SOURCE.index('      en: "You already have {reservations_that_day'),
        SOURCE.index("  - id: WEEKLY_QUOTA"),
    )
    assert faults(SOURCE[:start] + SOURCE[end:]) == [
        f"line {line_of('reason:')}, rule DAILY_QUOTA: 'en' is missing",
    ]
    blank = SOURCE[:start] + '      en: " "\n' + SOURCE[end:]
    assert "'en' must look like" in faults(blank)[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{kind: RELEASE_ROOM}", "{kind: RELEASE_ROOM, seconds: no_show_seconds}", "takes nothing, not seconds"),
        ("{kind: RELEASE_ROOM}", "{kind: RELEASE_ROOM, early: no_show_seconds}", "takes nothing, not early"),
        ("    early: early_entry_counts_seconds", "    early: daily_quota", "here it must be in seconds"),
        ("address: dccloud@cnic.cn", "address: dccloud", "'address' must look like"),
        ("NOTIFY_SUPPORT, address: dccloud@cnic.cn", "NOTIFY_SUPPORT", "NOTIFY_SUPPORT takes address, not nothing"),
        ("violations: violations_with_this_one", "violations: entered", "is not a fact that counts violations"),
        ("id: WEEKLY_QUOTA", "id: DAILY_QUOTA", "'DAILY_QUOTA' is used twice"),
        ("measure: committed_lead, within: booking_cutoff_seconds", "measure: committed_lead", "how late is too late"),
        (
            "  lead_seconds: {measure: lead,",
            "  lead_seconds: {measure: lead, within: no_show_seconds,",
            "how late is too late",
        ),
        (
            "committed_start, within: booking_cutoff_seconds",
            "committed_start, within: daily_quota",
            "must be in seconds",
        ),
        ("moves: [when_free]", "moves: [as_held]", "as_held cannot help"),
        ("on: [CANCEL]", "on: [CANCEL, CANCEL]", "each action once"),
        ("on: [CANCEL]", "on: []", "at least 1 item"),
        ("effect: ESCALATE", "effect: ASK", "'effect' must be 'ALLOW', 'ESCALATE', 'REDIRECT' or 'DENY'"),
        ("  - id: NO_ROOM_FREE", "  - id: no room free", "'id' must look like"),
    ],
)
def test_faults_of_rules(old: str, new: str, message: str) -> None:
    assert message in faults(SOURCE.replace(old, new, 1))[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("[{thresholds: {daily_quota: 5}}]", "an override needs a department, a role, or both"),
        ("[{role: a, thresholds: {}}]", "at least 1 item"),
        ("[{role: a, thresholds: {quota: 5}}]", "no threshold 'quota'"),
        ("[{role: a, thresholds: {no_show_seconds: 9999999999}}]", "longer than a century"),
        ("[{role: a, thresholds: {may_book: 2}}]", "'may_book' is a flag: 1 for yes, 0 for no, not 2"),
        ("[{department: {below: true}, thresholds: {daily_quota: 5}}]", "'id' is missing"),
        ("[{department: {id: '', below: true}, thresholds: {daily_quota: 5}}]", "'id': String should have at least 1"),
        ("[{department: {id: a, under: true}, thresholds: {daily_quota: 5}}]", "unknown key 'under'"),
        ("[{department: [a], thresholds: {daily_quota: 5}}]", "'department': Input should be a valid string"),
        (
            "[{department: {id: a}, thresholds: {may_book: 0}}, {department: {id: a}, thresholds: {may_book: 1}}]",
            "have an override already",
        ),
        (
            "[{role: a, thresholds: {daily_quota: 5}}, {role: a, thresholds: {daily_quota: 5}}]",
            "have an override already",
        ),
    ],
)
def test_faults_of_overrides(overrides: str, message: str) -> None:
    assert message in faults(f"{SOURCE}\noverrides: {overrides}\n")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy: "),
        ("just text", "policy: "),
        ("a: [", "line 1: not YAML"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("1: 2", "a key must be plain text"),
        ("[a]: 2", "a key must be plain text"),
        ("a: b\n---\nc: d", "not YAML"),
        ("a: \0", "not YAML"),
        ("\n\na: \x07", "line 3: not YAML"),
        ("[" * 5000, "nested deeper than 24 levels"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not allowed"),
        ("a: &x [*x, *x]", "anchors"),
        ("x" * 300_000, "characters of text; at most"),
        (SOURCE.replace("name: default", "name: &n default"), "anchors"),
    ],
    ids=range(14),
)
def test_hostile_text_is_a_fault_and_not_a_crash(text: str, message: str) -> None:
    found = faults(text)
    assert any(message in fault or fault.startswith(message) for fault in found) or message == "policy: "


def test_too_many_rules_or_alternatives() -> None:
    """Near 512 alternatives the engine would never return."""
    head, tail = SOURCE[: SOURCE.index("rules:\n")], SOURCE[SOURCE.index("\nobligations:") :]
    words = "{zh-CN: 不, en: no}"
    ending = f"effect: DENY, remedy: none, summary: {words}, reason: {words}}}"
    single = "{fact: participant_count, op: equal, value: 7}"
    double = f"{{any: [{single}, {single}]}}"

    def rule(n: int, when: str) -> str:
        return f"  - {{id: R{n}, on: [CREATE], when: {when}, {ending}\n"

    def source(number: int, when: str) -> str:
        return head + "rules:\n" + "".join(rule(n, when) for n in range(number)) + tail

    Policy.load(source(200, single)).close()
    assert "at most 200" in faults(source(201, single))[0]
    assert "alternatives" in faults(source(101, double))[0]
    assert "alternatives" in faults(source(1, f"{{all: [{', '.join([double] * 6)}]}}"))[0]
    assert "alternatives" in faults(source(1, f"{{all: [{', '.join([double] * 90)}]}}"))[0]


def test_every_fault_is_told_in_the_order_of_the_lines() -> None:
    wrong = SOURCE.replace("daily_quota: {value: 3,", "daily_quota: {value: x,")
    found = faults(wrong.replace("value: 100,", "value: y,").replace("[CANCEL]", "[STOP]"))
    assert [fault.split(",")[0].split(":")[0] for fault in found] == [
        f"line {line_of('daily_quota: {')}",
        f"line {line_of('large_meeting_people: {')}",
        f"line {line_of('on: [CANCEL]')}",
    ]
