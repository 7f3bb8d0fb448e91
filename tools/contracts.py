"""What the proto files say about events and their payloads, with the comments: read through buf."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

ROOT = Path(__file__).parents[1]
DECLARATION = re.compile(r"^(yunhui(?:\.[a-z_]+){3}): (.+)$", re.MULTILINE)
"""In the comment of a message: a subject whose payload the message is, and what the event says."""

INTEGERS_AS_TEXT = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
JSON_TYPES: dict[int, dict[str, Any]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
}
TIMESTAMP = {"type": "string", "format": "date-time"}


@dataclass(frozen=True, slots=True)
class EventType:
    """`meaning` is one sentence, `payload` the full name of the message."""

    subject: str
    meaning: str
    payload: str

    @property
    def owner(self) -> str:
        return self.subject.split(".")[1]

    @property
    def short(self) -> str:
        """For example 'reservation.confirmed'."""
        return self.subject.split(".", 2)[2]


class Contracts:
    """All messages under proto/."""

    def __init__(self, files: Sequence[FileDescriptorProto]) -> None:
        self._comments = {name: text for file in files for name, text in _comments(file)}
        self._pool = DescriptorPool()
        for file in files:
            self._pool.Add(file)  # buf gives files after what they import

    @classmethod
    def read(cls) -> "Contracts":
        buf = str(Path(sys.executable).with_name("buf"))
        command = [buf, "build", "proto", "-o", "-#format=binpb"]
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603 - buf and constants
        return cls(FileDescriptorSet.FromString(built.stdout).file)

    def events(self) -> list[EventType]:
        """In the order of the files and their comments."""
        return [
            EventType(subject, meaning, message)
            for message, comment in self._comments.items()
            for subject, meaning in DECLARATION.findall(comment)
        ]

    def schemas(self, messages: Sequence[str]) -> dict[str, Any]:
        """JSON Schemas of the proto3 JSON of messages and of all that they contain, by full name."""
        found: dict[str, Any] = {}
        waiting: list[Descriptor | EnumDescriptor] = [self._pool.FindMessageTypeByName(name) for name in messages]
        while waiting:
            each = waiting.pop(0)
            if each.full_name not in found:
                inner = [part for field in _fields(each) for part in _contained(field)]
                found[each.full_name] = self._enum(each) if isinstance(each, EnumDescriptor) else self._message(each)
                waiting += inner
        return found

    def _message(self, message: Descriptor) -> dict[str, Any]:
        comment = DECLARATION.sub("", self._comments.get(message.full_name, ""))
        comment = comment.replace("Each event, by its subject:", "").strip()
        properties = {field.json_name: self._field(field) for field in message.fields}
        return {"type": "object", "description": comment, "properties": properties}

    def _enum(self, enum: EnumDescriptor) -> dict[str, Any]:
        values = [value.name for value in enum.values if value.number]
        lines = [f"{name}: {self._comments.get(f'{enum.full_name}.{name}', '')}" for name in values]
        description = "\n".join([self._comments.get(enum.full_name, ""), *lines])
        return {"type": "string", "description": description, "enum": values}

    def _field(self, field: FieldDescriptor) -> dict[str, Any]:
        comment = {"description": self._comments.get(field.full_name, "")}
        if value_field := _map_value(field):
            return {**comment, "type": "object", "additionalProperties": _value_schema(value_field)}
        if field.is_repeated:
            return {**comment, "type": "array", "items": _value_schema(field)}
        value = _value_schema(field)
        return {**comment, "allOf": [value]} if "$ref" in value else {**comment, **value}


def _fields(described: Descriptor | EnumDescriptor) -> Sequence[FieldDescriptor]:
    return [] if isinstance(described, EnumDescriptor) else described.fields


def _contained(field: FieldDescriptor) -> Iterator[Descriptor | EnumDescriptor]:
    if value_field := _map_value(field):
        yield from _contained(value_field)
    elif field.enum_type:
        yield field.enum_type
    elif field.message_type and field.message_type.full_name != "google.protobuf.Timestamp":
        yield field.message_type


def _value_schema(field: FieldDescriptor) -> dict[str, Any]:
    """Of one value. Raises KeyError for a type that no event has had so far."""
    if field.type in INTEGERS_AS_TEXT:
        return {"type": "string", "pattern": "^-?[0-9]+$"}
    if field.message_type and field.message_type.full_name == "google.protobuf.Timestamp":
        return TIMESTAMP
    if inner := field.enum_type or field.message_type:
        return {"$ref": f"#/components/schemas/{inner.full_name}"}
    return JSON_TYPES[field.cpp_type]


def _map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """The values of a map; None for a field that is none."""
    entry = field.message_type
    return entry.fields_by_name["value"] if entry and entry.GetOptions().map_entry else None


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Full name -> the comment above it."""
    texts = {
        tuple(place.path): re.sub(r"^ ", "", place.leading_comments, flags=re.MULTILINE).strip()
        for place in file.source_code_info.location
    }
    for path, name in _named(file):
        if path in texts:
            yield name, texts[path]


def _named(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """The path of everything that has a name (descriptor.proto numbers messages 4 and enums 5 in a file)."""
    for number, message in enumerate(file.message_type):
        yield from _in_message(message, (4, number), file.package)
    for number, enum in enumerate(file.enum_type):
        yield from _in_enum(enum, (5, number), file.package)


def _in_message(message: DescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[tuple[tuple[int, ...], str]]:
    name = f"{scope}.{message.name}"
    yield path, name
    for number, field in enumerate(message.field):
        yield (*path, 2, number), f"{name}.{field.name}"
    for number, inner in enumerate(message.nested_type):
        yield from _in_message(inner, (*path, 3, number), name)
    for number, enum in enumerate(message.enum_type):
        yield from _in_enum(enum, (*path, 4, number), name)


def _in_enum(enum: EnumDescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, f"{scope}.{enum.name}"
    for number, value in enumerate(enum.value):
        yield (*path, 2, number), f"{scope}.{enum.name}.{value.name}"
