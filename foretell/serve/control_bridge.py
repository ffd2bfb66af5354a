"""`python -m foretell.serve.control_bridge`: the control service over REST, in a process beside the servers."""

import foretell_lifecycle.grpc_polling  # noqa: F401  # Before all that imports grpc.

# isort: split
import logging
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from pydantic_settings import CliApp

from foretell.settings import ServeSettings
from foretell_contract.contract import load_control
from foretell_lifecycle import address
from foretell_lifecycle.process import Launcher, run
from grpc_server.changes import peers
from grpc_server.settings import UNAUTHENTICATED
from grpc_server.transport.tls import server_context
from rest_bridge.app import create_app
from rest_bridge.channel import ChannelCall, open_channel
from rest_bridge.http.server import Server
from rest_bridge.openapi.document import CHANGES

logger = logging.getLogger(__name__)

_SETTINGS = {"request_seconds": 600.0, "max_request_seconds": 3600.0, "root_path": None}
"""A route change takes as long as the gates of its version, far longer than a prediction.

The path of a proxy belongs to the predictions.
"""


async def serve(launcher: Launcher) -> None:
    """Serve until stopped. Raises SetupError if it cannot start, before it takes requests."""
    settings = CliApp.run(ServeSettings)
    settings.check_control()
    encryption = server_context(settings.tls_certificate, settings.tls_key, settings.control_clients)
    host, _ = address.split(settings.control_http)
    listeners = address.listen_all(settings.control_http, "--control-http")
    bound = address.join(host, listeners[0].getsockname()[1])
    async with AsyncExitStack() as stack:
        channel = PeerChannel(settings.control_folder, stack)
        local = address.is_loopback(host)
        app = create_app(load_control(), channel, settings.model_copy(update=_SETTINGS), api_kind=CHANGES, loopback_only=local)
        if not local and not settings.control_clients:
            logger.warning("control over REST on %s %s", settings.control_http, UNAUTHENTICATED)
        server = Server(app, listeners, settings.drain_seconds, encryption)
        await server.start()
        try:
            url = f"{'https' if encryption else 'http'}://{bound}"
            launcher.announce({"control_http": bound, "control_url": url}, f"control over REST on {url}, docs on {url}/docs")
            await launcher.wait_for_stop()
        finally:
            await server.stop()


class PeerChannel:
    """A Channel to any running server of a repository, found by its control socket at each call."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        """`folder` holds the control sockets; `stack` closes the channels."""
        self._folder = folder
        self._stack = stack
        self._channels: dict[Path, grpc.aio.Channel] = {}

    def unary_unary(self, method: str) -> Any:
        """See Channel."""
        return partial(self._call, method)

    def _call(self, method: str, request: bytes, **options: Any) -> ChannelCall:
        running = peers.running(self._folder)
        if not running:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        socket = running[0].socket
        if socket not in self._channels:
            self._channels[socket] = open_channel(self._stack.enter_context(peers.address(socket)))
            self._stack.push_async_callback(self._channels[socket].close)
        multicallable: Any = self._channels[socket].unary_unary(method)  # The stubs lack calls in bytes.
        call: ChannelCall = multicallable(request, **options)
        return call


if __name__ == "__main__":
    run(serve)
