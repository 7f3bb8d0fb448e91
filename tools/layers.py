"""The picture at the top of docs/architecture.md, made from the code's own imports by `python -m tools.layers`."""

from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- made by `python -m tools.layers`; do not edit -->\n", "<!-- end of what is made -->\n"
PLATFORM, CONTRACTS, INSTALLATION = "services.platform", "services.contracts", "services.installation"
COMMAND = "services.cli"


def render(page: str) -> str:
    """The page with today's picture. Raises ValueError when it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the picture")
    return before + begin + "\n".join(["", "```mermaid", *picture(), "```", "", ""]) + end + after


def picture() -> Iterator[str]:
    """Programs above, what they agree on and what they stand on below; an arrow leads to what is imported."""
    graph = grimp.build_graph("services", cache_dir=None)
    programs = sorted(graph.find_children("services") - {PLATFORM, CONTRACTS, INSTALLATION})
    parts = sorted(graph.find_children(PLATFORM))
    yield "flowchart TB"
    yield '  subgraph programs["programs: services/NAME/"]'
    yield from (f"    {name(each)}" for each in programs)
    yield "  end"
    yield f'  installation["services/installation/<br>{modules(graph, INSTALLATION)}"]'
    yield f'  contracts["proto/, services/contracts/<br>{modules(graph, CONTRACTS)}"]'
    yield '  subgraph platform["services/platform/"]'
    yield from (f'    {name(each)}["{box(graph, each)}"]' for each in parts)
    yield "  end"
    yield "  programs --> contracts"
    yield "  programs --> platform"
    yield f"  {name(COMMAND)} --> installation"
    yield "  installation --> contracts"
    yield "  installation --> platform"
    yield "  contracts --> platform"
    yield from (f"  {name(importer)} --> {name(imported)}" for importer, imported in needed(graph, parts))


def needed(graph: grimp.ImportGraph, parts: list[str]) -> Iterator[tuple[str, str]]:
    """Who imports whom, without what follows: where a imports b and b imports c, no arrow from a to c."""
    direct = {
        each: {
            other
            for other in parts
            if other != each and graph.direct_import_exists(importer=each, imported=other, as_packages=True)
        }
        for each in parts
    }

    def reached(part: str) -> set[str]:
        return direct[part].union(*(reached(other) for other in direct[part]))

    for part in parts:
        yield from ((part, other) for other in sorted(direct[part] - set().union(*map(reached, direct[part]))))


def box(graph: grimp.ImportGraph, package: str) -> str:
    inside = modules(graph, package)
    return f"<b>{name(package)}/</b><br>{inside}" if inside else f"{name(package)}.py"


def modules(graph: grimp.ImportGraph, package: str) -> str:
    return ", ".join(sorted(name(each) for each in graph.find_children(package)))


def name(module: str) -> str:
    return module.rpartition(".")[2]


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
