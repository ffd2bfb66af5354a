"""The bridge from its settings to the end of its drain, on whichever channel it calls through."""

import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_lifecycle import address
from rest_bridge.app import create_app
from rest_bridge.channel import Channel
from rest_bridge.http.server import Server
from rest_bridge.json.codec import request_example
from rest_bridge.settings import BridgeSettings


def listen(settings: BridgeSettings) -> socket.socket:
    """The socket to take connections from. Raises SetupError where it cannot be had."""
    return address.listen(settings.http_address, "--http-address", shared=settings.share_ports)


@asynccontextmanager
async def serving(
    settings: BridgeSettings, listener: socket.socket, contract: Contract, channel: Channel
) -> AsyncIterator[dict[str, Any]]:
    """A bridge, until the end of the block, which is its drain; what the supervisor wants to know of it.

    Raises ContractError where a path of the contract is one of the bridge's own.
    """
    server = Server(create_app(contract, channel, settings), listener, settings.drain_seconds)
    facts = {"http_address": address.bound(listener), "example": _example(contract)}
    gc.collect()
    gc.freeze()  # What is loaded stays; no later collection need look at it.
    gc.set_threshold(20_000)  # Hundreds of requests under way are no garbage.
    await server.start()
    try:
        yield facts
    finally:
        await server.stop()


def _example(contract: Contract) -> dict[str, str]:
    """A call that works: REST path, gRPC method and JSON body of the first method that has an example."""
    for method in (method for service in contract.services for method in service.methods):
        shown = example(method.input, contract.rules)
        if method.paths and shown is not None:
            body = json.dumps(request_example(shown))
            return {"path": method.paths[0], "method": f"{method.service}/{method.name}", "body": body}
    return {}
