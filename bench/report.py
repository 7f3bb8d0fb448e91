"""The figures as tables: on the terminal, and in docs/benchmarks.md between its markers. `python -m bench.report`."""

import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made from bench/results.json by `python -m bench.report` -->\n", "<!-- end -->\n"

Results = dict[str, Any]
Bar = tuple[str, float]

BARS: dict[str, Bar | None] = {
    "booking_cpu_vs_echo_cpu": ("<=", 4.5),
    "window_cpu_vs_echo_cpu": ("<=", 6),
    "create_cpu_ms_without_sink": ("<=", 8),
    "create_p50_vs_echo_p50_c1": ("<=", 5),
    "create_vs_echo_c32": (">=", 0.17),
    "create_vs_echo_c32_without_notifier": None,
    "create_cpu_vs_echo_cpu": None,
    "refused_vs_confirmed_cpu": ("<=", 2),
    "refused_vs_confirmed_p50": ("<=", 2),
    "rooms_2000_vs_100_cpu": ("<=", 2),
    "rooms_2000_vs_100_p50": ("<=", 2),
    "day_10000_vs_empty_cpu": ("<=", 2),
    "day_10000_vs_empty_p50": ("<=", 2),
    "account_5000_vs_new_cpu": ("<=", 2),
    "account_5000_vs_new_p50": ("<=", 2),
    "growth_1m_vs_1k": (">=", 0.8),
    "check_vs_echo_c32": None,
    "directory_search_p95_ms": ("<", 100),
    "directory_tree_p95_ms": ("<", 150),
    "directory_scim_p95_ms": ("<", 200),
    "directory_import_seconds": ("<", 10),
    "directory_rss_mb": ("<", 200),
    "directory_role_seconds": None,
    "rss_mb_all": ("<", 400),
    "idle_cpu_percent_all": ("<", 2),
    "start_seconds": None,
    "create_metrics_vs_off": None,
    "create_traces_vs_off": None,
    "create_cpu_metrics_vs_off": None,
    "create_cpu_traces_vs_off": None,
}
BARS_ON_POSTGRESQL: dict[str, Bar] = {
    "create_vs_echo_c32": (">=", 0.12),
    "directory_search_p95_ms": ("<", 100),
    "directory_tree_p95_ms": ("<", 150),
    "directory_scim_p95_ms": ("<", 200),
    "directory_import_seconds": ("<", 10),
    "directory_rss_mb": ("<", 200),
}
PAGE_MS, FIRST_PAGE_KB = 150, 100
COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt}
PAGE_COLUMNS = ("page", "bar", "portal p95", "", "client p95", "answers")
COLUMNS = ("figure", "bar", "SQLite", "", "PostgreSQL", "bar", "")
DATABASES = ("sqlite", "postgresql")


def verdict(bar: Bar | None, value: float | None) -> str:
    """Whether the bar is met; empty where there is none, or nothing was measured."""
    return "" if bar is None or value is None else "met" if COMPARE[bar[0]](value, bar[1]) else "NOT MET"


def rows(results: Results) -> Iterator[tuple[str, ...]]:
    """As COLUMNS has it: first those with a name in BARS, then what they were made of; only what was measured."""
    measured = [results.get(database, {}) for database in DATABASES]
    names = dict.fromkeys(name for figures in measured for name in figures)
    for name in [*(name for name in BARS if name in names), *(name for name in names if name not in BARS)]:
        sqlite, postgresql = (figures[name]["median"] if name in figures else None for figures in measured)
        bar, other = BARS.get(name), BARS_ON_POSTGRESQL.get(name)
        judged = (verdict(bar, sqlite), shown(postgresql), said(other), verdict(other, postgresql))
        yield name, said(bar), shown(sqlite), *judged


def said(bar: Bar | None) -> str:
    return f"{bar[0]} {bar[1]}" if bar else ""


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def show(results: Results) -> None:
    out = Console()
    table = Table(Column(COLUMNS[0], overflow="fold"), *COLUMNS[1:])
    for row in rows(results):
        table.add_row(*row, style="bold" if row[0] in BARS else "dim")
    policy = Table("policy", "decide/bare", "decide/s", "bare/s")
    for row in results.get("policy", []):
        policy.add_row(
            row["name"], f"{row['ratio']:.2f}", f"{row['decide_per_second']:,}", f"{row['bare_per_second']:,}"
        )
    for part in (table, policy, pages(results)):
        if part.row_count:
            out.print(part)


def pages(results: Results) -> Table:
    table = Table(*PAGE_COLUMNS)
    for row in page_rows(results):
        table.add_row(*row)
    return table


def page_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """The first page's weight, then each page's time with fifty people at once."""
    if "portal" not in results:
        return
    weight = results["portal"]["first_page"]["kilobytes"]
    yield "first page with all it links to, kB", f"< {FIRST_PAGE_KB}", shown(weight), met(weight, FIRST_PAGE_KB), "", ""
    for name, figures in results["portal"]["pages"].items():
        value = figures["server_p95_ms"]
        others = (shown(figures["outside_p95_ms"]), str(figures["answers"]))
        yield f"{name}, ms", f"< {PAGE_MS}", shown(value), met(value, PAGE_MS), *others


def met(value: float, bar: float) -> str:
    return "met" if value < bar else "NOT MET"


def to_markdown(results: Results) -> str:
    lines = ["", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(results)]
    lines += ["", "| policy | decide/bare | decide/s | bare/s |", "|---|---|---|---|"]
    for row in results["policy"]:
        lines.append(f"| {row['name']} | {row['ratio']} | {row['decide_per_second']} | {row['bare_per_second']} |")
    if "portal" in results:
        lines += ["", f"| {' | '.join(PAGE_COLUMNS)} |", f"|{'---|' * len(PAGE_COLUMNS)}"]
        lines += [f"| {' | '.join(row)} |" for row in page_rows(results)]
    for title, run in (("", {**results["machine"], **results["run"]}), ("directory: ", results.get("directory", {}))):
        if run:
            lines += ["", title + "; ".join(f"{name} {value}" for name, value in run.items())]
    lines.append("")
    return "\n".join(lines) + "\n"


def page(results: Results, text: str) -> str:
    """The page with its tables made anew."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + to_markdown(results) + END + rest.partition(END)[2]


def write(results: Results) -> None:
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_page()


def write_directory(results: Results) -> None:
    """The directory's part alone, beside what was measured before."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    for database in DATABASES:
        others = {name: each for name, each in kept[database].items() if not name.startswith("directory_")}
        kept[database] = others | results[database]
    kept["directory"] = {name: results["machine"][name] for name in ("date", "commit", "load_before")} | results["run"]
    write(kept)


def write_page() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page(results, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write_page()
