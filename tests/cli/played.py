"""A directory that is made up, and the command that speaks to it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from typer.testing import CliRunner, Result
from yunhui.directory.v1 import (
    address_book_service_pb2,
    department_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    provisioning_service_pb2,
    role_service_pb2,
)

from services.cli.commands import app

Answers = Mapping[str, Callable[[Any], Message]]
"""By method; the others answer nothing."""
SERVICES = (
    *(address_book_service_pb2, department_service_pb2, member_service_pb2, organization_service_pb2),
    *(provisioning_service_pb2, role_service_pb2),
)
LOOKS = frozenset({"ListDepartments", "ListColleagueDepartments", "ListRoles"})
"""What a command looks up on its way, besides what it gets."""


class Played(grpc.GenericRpcHandler):
    """The made-up directory, and the command that speaks to it. `asked` are the changes, and what is listed."""

    def __init__(self, answers: Answers, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers = answers
        self.asked: list[Any] = []
        self._state = str(state)
        self._methods: dict[str, MethodDescriptor] = {
            f"/{service.full_name}/{method.name}": method
            for api in SERVICES
            for service in api.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }
        self.server = grpc.server(ThreadPoolExecutor(2), handlers=[self])
        monkeypatch.setenv("YUNHUI_DIRECTORY_ADDRESS", f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}")
        monkeypatch.setenv("YUNHUI_TOKEN", "a.b.c")
        self.server.start()

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        method = self._methods[call.method]

        def answer(request: Message, _: object) -> Message:
            if not method.name.startswith("Get") and method.name not in LOOKS:
                self.asked.append(request)
            known = self._answers.get(method.name)
            return known(request) if known else GetMessageClass(method.output_type)()

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def run(self, *arguments: str, lang: str = "en", typed: str = "") -> Result:
        words = [*arguments, "--lang", lang, "--state", self._state]
        return CliRunner().invoke(app, words, input=typed, env={"COLUMNS": "120"})

    def said(self, *arguments: str, lang: str = "en") -> str:
        done = self.run(*arguments, lang=lang)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout
