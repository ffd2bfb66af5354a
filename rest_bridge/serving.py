"""Runs the bridge on a channel, from its settings to the end of its drain."""

import gc
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
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


def listen(settings: BridgeSettings) -> list[socket.socket]:
    """The listening sockets of the bridge. Raises SetupError if one cannot be bound."""
    return address.listen_all(settings.http_address, "--http-address", shared=settings.share_ports)


@asynccontextmanager
async def serving(
    settings: BridgeSettings, listeners: Sequence[socket.socket], contract: Contract, channel: Channel
) -> AsyncIterator[dict[str, Any]]:
    """Serve within the block and drain at its end; yields the facts that the process announces.

    Raises ContractError if a path of the contract is one of the bridge's own.
    """
    server = Server(create_app(contract, channel, settings), listeners, settings.drain_seconds)
    facts = {"http_address": address.bound_to(listeners[0]), "examples": list(_examples(contract))}
    gc.collect()
    gc.freeze()  # Loaded modules stay, so no later collection needs to visit them.
    gc.set_threshold(20_000)  # Hundreds of requests in flight would trigger useless collections.
    await server.start()
    try:
        yield facts
    finally:
        await server.stop()


def _examples(contract: Contract) -> Iterator[dict[str, str]]:
    """A valid call of each service: model, REST path, gRPC method and JSON body, of its first method with a path and an example."""
    for service in contract.services:
        for method in service.methods:
            shown = example(method.input, contract.rules)
            if method.paths and shown is not None:
                body = json.dumps(request_example(shown))
                yield {"model": service.model, "path": method.paths[0], "method": f"{method.service}/{method.name}", "body": body}
                break
