"""The text of a policy file: strict YAML read into plain data, with the line of every value kept for error messages."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 24

type_of = "tag:yaml.org,2002:{}".format
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a policy: line from 1 (0: the whole text), the rule at fault or "", what would be right."""

    line: int
    rule_id: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "policy"
        return f"{where}{f', rule {self.rule_id}' if self.rule_id else ''}: {self.message}"


class InvalidPolicyError(ValueError):
    """Everything that is wrong in a policy, in the order of its lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        super().__init__("\n".join(map(str, self.faults)))


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.1 reads `on` as true and 30:00 as 1800; here only decimal integers, true, false and null are special."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


for _name, _pattern, _first in (
    ("int", r"[-+]?(0|[1-9][0-9_]{0,29})", "-+0123456789"),
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", "~n"),
):
    _PlainLoader.add_implicit_resolver(type_of(_name), re.compile(rf"^(?:{_pattern})$"), [*_first])
_PlainLoader.add_implicit_resolver(type_of("null"), re.compile(r"^$"), [""])


@dataclass(slots=True)
class YamlSource:
    """Plain data and where each part of it stands."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def fault(self, path: Sequence[str | int], message: str) -> Fault:
        return Fault(self._line(path), self._rule_id(path), message)

    def _line(self, path: Sequence[str | int]) -> int:
        """The deepest known place on the way: validation names steps that the text does not have."""
        line = 0
        known: Path = ()
        for step in path:
            if (*known, step) in self.lines:
                known = (*known, step)
                line = self.lines[known]
        return line

    def _rule_id(self, path: Sequence[str | int]) -> str:
        match [*path]:
            case ["rules", int(index), *_]:
                try:
                    found = self.data["rules"][index]["id"]
                except (KeyError, IndexError, TypeError):
                    return ""
                return found if isinstance(found, str) else ""
        return ""


def read_yaml(text: str) -> YamlSource:
    """Raises InvalidPolicyError for text that is not one plain YAML document."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidPolicyError([Fault(0, "", f"{len(text)} characters of text; at most {MAX_CHARACTERS} are read")])
    try:
        _refuse_cleverness(text)
        node = yaml.compose(text, Loader=_PlainLoader)
    except yaml.YAMLError as error:
        raise InvalidPolicyError([_yaml_fault(error, text)]) from error
    source = YamlSource(None)
    source.data = _plain(node, (), source.lines)
    return source


def _refuse_cleverness(text: str) -> None:
    """Aliases, tags, deep nesting: how a short text becomes a huge one. Works on events, so without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidPolicyError(
                [Fault(line, "", "anchors (&) and aliases (*) are not allowed; write the value out")]
            )
        if getattr(event, "tag", None):
            raise InvalidPolicyError([Fault(line, "", f"tags are not allowed; remove {getattr(event, 'tag', '')!r}")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InvalidPolicyError([Fault(line, "", f"nested deeper than {MAX_DEPTH} levels")])


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0


def _yaml_fault(error: yaml.YAMLError, text: str) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return Fault(mark.line + 1 if mark else 0, "", f"not YAML: {error.problem}")
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 0
    return Fault(line, "", f"not YAML: {str(error).splitlines()[0]}")


def _plain(node: yaml.Node | None, path: Path, lines: dict[Path, int]) -> Any:
    if node is None:
        return None
    lines.setdefault(path, _line(node))
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return _plain_scalar(node) if isinstance(node, yaml.ScalarNode) else None


def _plain_mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[Hashable, Any]:
    found: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        key = _plain_scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise InvalidPolicyError([Fault(line, "", "a key must be plain text")])
        if key in found:
            raise InvalidPolicyError([Fault(line, "", f"{key!r} is given twice; keep one")])
        lines[(*path, key)] = line
        found[key] = _plain(value_node, (*path, key), lines)
    return found


def _plain_scalar(node: yaml.ScalarNode) -> str | int | bool | None:
    text = str(node.value)
    if node.style is None and node.tag == type_of("int"):
        return int(text.replace("_", ""))
    if node.style is None and node.tag == type_of("bool"):
        return text == "true"
    if node.style is None and node.tag == type_of("null"):
        return None
    return text
