"""The new program under `up`."""

from pathlib import Path

import grpc
import pytest
from yunhui.library.v1 import library_service_pb2 as pb
from yunhui.library.v1.library_service_pb2_grpc import LibraryServiceStub

from tests.system.stack import Stack


def test_it_runs(tmp_path: Path) -> None:
    """Whoever may not ask is refused by the guard, whoever may gets the service's own answer."""
    stack = Stack(tmp_path / "state")
    stack.start()
    with grpc.insecure_channel(stack.run["library"]) as channel:
        for role, code in (("booker", grpc.StatusCode.PERMISSION_DENIED), ("admin", grpc.StatusCode.NOT_FOUND)):
            token = ("authorization", f"Bearer {stack.login(role).token}")
            with pytest.raises(grpc.RpcError) as refused:
                LibraryServiceStub(channel).GetBook(pb.GetBookRequest(book_id="1"), metadata=[token])
            assert refused.value.code() == code
    assert stack.yunhui("doctor").code == 0
    stack.stop()
