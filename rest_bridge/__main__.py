"""`python -m rest_bridge --target ADDR`: the bridge alone, as its container runs it."""

import gc
import json

from pydantic_settings import CliApp

from contract.contract import Contract, load
from contract.example import example
from lifecycle import address
from lifecycle.process import Launcher, run
from rest_bridge.app import create_app
from rest_bridge.channel import open_channel
from rest_bridge.codec import request_example
from rest_bridge.server import Server
from rest_bridge.settings import BridgeSettings


async def serve(launcher: Launcher) -> None:
    """Serve until told to stop. Raises SetupError for what cannot be served, before any request is taken."""
    settings = CliApp.run(BridgeSettings)
    listener = address.listen(settings.http_address, "--http-address")
    bound = address.join(*listener.getsockname()[:2])
    contract = load(settings.protos)
    async with open_channel(settings.target) as channel:
        server = Server(create_app(contract, channel, settings), listener, settings.drain_seconds)
        channel.get_state(try_to_connect=True)  # So that no request waits for the first attempt, should the server be away.
        gc.collect()
        gc.freeze()  # What is loaded stays; no later collection need look at it.
        gc.set_threshold(20_000)  # Hundreds of requests under way are no garbage.
        await server.start()
        await launcher.wait_if_supervised(channel.channel_ready())
        facts = {"address": bound, "example": _example(contract)}
        launcher.announce(facts, f"REST on http://{bound}, docs on http://{bound}/docs, calling {settings.target}")
        await launcher.told_to_stop()
        await server.stop()


def _example(contract: Contract) -> dict[str, str]:
    """A call that works: REST path, gRPC method and JSON body of the first method that has an example."""
    for method in (method for service in contract.services for method in service.methods):
        shown = example(method.input, contract.rules)
        if method.paths and shown is not None:
            body = json.dumps(request_example(shown))
            return {"path": method.paths[0], "method": f"{method.service}/{method.name}", "body": body}
    return {}


if __name__ == "__main__":
    run(serve)
