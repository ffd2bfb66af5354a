"""A gRPC server and the bridge in front of it, on one event loop in a background thread."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import Contract, load, load_set
from foretell_contract.service import Method
from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.versions.registry import Registry, load_registry
from rest_bridge.app import create_app
from rest_bridge.channel import open_channel
from rest_bridge.settings import BridgeSettings


class BridgedServer:
    """Sends gRPC calls and REST requests to the services of one contract; callable from any thread."""

    def __init__(self, contract: Contract, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self.contract = contract
        self.methods = {f"{s.model}.{method.name}": method for s in contract.services for method in s.methods}
        self.address, self._loop = address, loop
        self._channel: Any = None
        self._http: Any = None

    async def open(self) -> None:
        self._channel = open_channel(self.address)
        app: Any = create_app(self.contract, self._channel, BridgeSettings())
        self._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test", timeout=60)

    async def close(self) -> None:
        await self._http.aclose()
        await self._channel.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(100)

    def grpc(self, method: Method, messages: Sequence[Any]) -> list[Any]:
        """One response message, or one AioRpcError, for each request message."""
        return self.run(_gather(self._call(method, message) for message in messages))  # type: ignore[no-any-return]

    def rest(self, method: Method, documents: Sequence[Any]) -> list[httpx2.Response]:
        """One HTTP response for each JSON document."""
        return self.run(_gather(self._post(method, document) for document in documents))  # type: ignore[no-any-return]

    def openapi(self) -> Any:
        async def get() -> Any:
            return (await self._http.get("/openapi.json")).json()

        return self.run(get())

    async def _call(self, method: Method, message: Any) -> Any:
        call = self._channel.unary_unary(method.path)
        try:
            return method.response.FromString(await call(message.SerializeToString(), timeout=60))
        except grpc.aio.AioRpcError as error:
            return error

    async def _post(self, method: Method, document: Any) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await self._http.post(method.paths[0], content=body, headers={"content-type": "application/json"})


async def _gather(work: Any) -> list[Any]:
    return list(await asyncio.gather(*work))


def as_document(message: Any) -> Any:
    """The message as a JSON document, made by protobuf's own converter with the bridge's options."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


@contextmanager
def served(protos: Path, models: Path, **settings: Any) -> Iterator[BridgedServer]:
    """Serves the contracts under `protos` with the models under `models` on free ports.

    They are noted as tried: for each of several new ones, a server would start a process of its own, which takes two seconds.
    """
    chosen = ServerSettings(**{"models": models, "protos": protos, "placement": "inline"} | settings)
    repository = Repository(models)
    for name, version in ((each, version) for each in repository.names() for version in repository.versions(each)):
        if not repository.passed_gates(name, version):
            repository.remember_passed(name, version, b"")
    contract = load(protos)
    of_server = load_set(FileDescriptorSet.FromString(contract.descriptor_set))  # Another pool, without compiling again.
    with serving(load_registry(of_server, chosen), contract) as bridged:
        yield bridged


@contextmanager
def serving(registry: Registry, bridge_contract: Contract) -> Iterator[BridgedServer]:
    """Serves `registry` on a free port. The bridge gets its own contract, because the server adds files to its contract's pool."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(ServerSettings(grpc_address="127.0.0.1:0"))

    async def start() -> BridgedServer:
        address = server.bind()
        await server.start(registry)
        bridged = BridgedServer(bridge_contract, address, loop)
        await bridged.open()
        return bridged

    try:
        bridged: BridgedServer = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
        try:
            yield bridged
        finally:
            bridged.run(bridged.close())
            bridged.run(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
