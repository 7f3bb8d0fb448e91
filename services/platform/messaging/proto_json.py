"""Messages as proto3 JSON, there and back, as json_format does it: with writers and readers made once for each kind.

The library looks up what the descriptor says anew for each field of each message: three to eight times the cost.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Kind = TypeVar("Kind", bound=Message)
Write = Callable[[Any], str]
"""JSON of one value."""
Read = Callable[[Any], Any]
"""What a message is made with, of one value of parsed JSON. Raises what it likes for any other than we write."""

MILLISECOND = 1_000_000  # nanoseconds
DIGITS = re.compile(r"-?[0-9]{1,19}")
BIG = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
SMALL = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)


def to_json(message: Message) -> str:
    """The text of MessageToJson on one line, not only ASCII: what is not set is left out.

    Raises ValueError for a time that JSON cannot say, TypeError for a field of a kind that no contract has: floats,
    bytes, and Google's own messages other than times.
    """
    return _writer(message.DESCRIPTOR)(message)


def from_json(text: str | bytes, kind: type[Kind], nesting: int = 100) -> Kind:
    """What json_format.Parse makes of it, at most `nesting` deep; unknown fields are ignored. Raises what Parse raises.

    What is not as `to_json` writes it is left to the library, so that it alone says what is refused.
    """
    try:
        content = json.loads(text.decode() if isinstance(text, bytes) else text, object_pairs_hook=_unique)
        return kind(**_reader(kind.DESCRIPTOR)(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return json_format.Parse(text, kind(), ignore_unknown_fields=True, max_recursion_depth=nesting)


# Writing


@cache
def _writer(kind: Descriptor) -> Write:
    if kind.full_name == Timestamp.DESCRIPTOR.full_name:
        return _write_time
    if kind.file.package == "google.protobuf":
        raise TypeError(f"{kind.full_name} is not written")
    members: dict[FieldDescriptor, Write] = {}

    def learn(field: FieldDescriptor) -> Write:
        members[field] = _member_writer(field)
        return members[field]

    def write(message: Message) -> str:
        fields = message.ListFields()
        return "{" + ", ".join([(members.get(field) or learn(field))(value) for field, value in fields]) + "}"

    return write


def _member_writer(field: FieldDescriptor) -> Write:
    begin = f"{quoted(field.json_name)}: "
    if parts := _map_parts(field):
        write = _map_writer(parts)
    elif field.is_repeated:
        write = _list_writer(field)
    else:
        write = _single_writer(field)
    return lambda value: begin + write(value)


def _list_writer(field: FieldDescriptor) -> Write:
    write = _single_writer(field)
    return lambda values: "[" + ", ".join(map(write, values)) + "]"


def _map_writer(parts: Mapping[str, FieldDescriptor]) -> Write:
    if parts["key"].type != FieldDescriptor.TYPE_STRING:
        raise TypeError(f"{parts['key'].full_name} is not written")
    write = _single_writer(parts["value"])
    return lambda values: "{" + ", ".join([f"{quoted(key)}: {write(values[key])}" for key in values]) + "}"


def _single_writer(field: FieldDescriptor) -> Write:
    if field.message_type:
        return _writer(field.message_type)
    if field.enum_type:
        names = {number: quoted(value.name) for number, value in field.enum_type.values_by_number.items()}
        return lambda number: names.get(number) or str(number)
    if field.type == FieldDescriptor.TYPE_STRING:
        return quoted
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda value: "true" if value else "false"
    if field.cpp_type in BIG:
        return lambda number: f'"{number}"'
    if field.cpp_type in SMALL:
        return str
    raise TypeError(f"{field.full_name} is not written")


def _write_time(time: Timestamp) -> str:
    nanos = time.nanos
    if not nanos:
        return f'"{_second(time.seconds)}Z"'
    if nanos % MILLISECOND or not 0 < nanos < 1000 * MILLISECOND:
        return f'"{time.ToJsonString()}"'
    return f'"{_second(time.seconds)}.{nanos // MILLISECOND:03}Z"'


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return Timestamp(seconds=seconds).ToJsonString().removesuffix("Z")


# Reading


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name comes twice")
    return content


@cache
def _reader(kind: Descriptor) -> Read:
    """Raises KeyError for a field that has no reader, RecursionError for a kind that can hold itself."""
    if kind.full_name == Timestamp.DESCRIPTOR.full_name:
        return _read_time
    members = {field.json_name: (field.name, _member_reader(field)) for field in kind.fields if _is_read(field)}

    def read(content: Any) -> dict[str, Any]:
        values = {}
        for json_name, value in content.items():
            name, read_member = members[json_name]
            values[name] = read_member(value)
        return values

    return read


def _is_read(field: FieldDescriptor) -> bool:
    """Of several fields only one can be set: the library sees to that."""
    return field.containing_oneof is None or len(field.containing_oneof.fields) == 1


def _member_reader(field: FieldDescriptor) -> Read:
    if parts := _map_parts(field):
        return _map_reader(parts)
    return _list_reader(field) if field.is_repeated else _single_reader(field)


def _list_reader(field: FieldDescriptor) -> Read:
    read = _single_reader(field)

    def read_all(content: Any) -> list[Any]:
        if type(content) is not list:
            raise TypeError
        return [read(value) for value in content]

    return read_all


def _map_reader(parts: Mapping[str, FieldDescriptor]) -> Read:
    if parts["key"].type != FieldDescriptor.TYPE_STRING:
        return _leave
    read = _single_reader(parts["value"])
    return lambda content: {key: read(value) for key, value in content.items()}


def _single_reader(field: FieldDescriptor) -> Read:
    if field.message_type:
        return _reader(field.message_type)
    if field.enum_type:
        return {name: value.number for name, value in field.enum_type.values_by_name.items()}.__getitem__
    if field.type == FieldDescriptor.TYPE_STRING:
        return _exactly(str)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _exactly(bool)
    if field.cpp_type in BIG:
        return _read_digits
    return _exactly(int) if field.cpp_type in SMALL else _leave


def _exactly(wanted: type) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not wanted:
            raise TypeError
        return value

    return read


def _read_digits(text: Any) -> int:
    if not DIGITS.fullmatch(text):
        raise ValueError
    return int(text)


@lru_cache(maxsize=4096)
def _read_time(text: Any) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(text)
    return time


def _leave(_: Any) -> Any:
    raise TypeError


def _map_parts(field: FieldDescriptor) -> Mapping[str, FieldDescriptor] | None:
    """Key and value; None when it is no map."""
    entry = field.message_type
    return entry.fields_by_name if entry and entry.GetOptions().map_entry else None
