"""The yardstick: a bare grpc.aio server that answers every unary call with the bytes it got. Prints its port."""

import asyncio
from typing import Any

import grpc


async def echo(body: bytes, _context: Any) -> bytes:
    return body


class Echo(grpc.GenericRpcHandler):
    """Any method, no message types, no interceptors."""

    def service(self, _call: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(echo)


async def main() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
