"""The channel to the model server: the one thing the bridge knows of it."""

from typing import Any, Protocol

import grpc


class ChannelCall(Protocol):
    """A call under way. Awaiting it gives the response's bytes, or raises grpc.aio.AioRpcError."""

    def __await__(self) -> Any:
        """The response's bytes."""

    async def trailing_metadata(self) -> Any:
        """Pairs of name and value."""

    def cancel(self) -> bool:
        """Tell the server that nobody waits."""


class Channel(Protocol):
    """What the bridge needs of a channel; `grpc.aio.Channel` is one."""

    def unary_unary(self, method: str) -> Any:
        """Something to call with bytes, `timeout` and `metadata`, which gives a Call."""


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel that fails at once while the server is away and finds it again within a second of its return."""
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1_000),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # A container that comes back may have another address.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16_384),
            ("grpc.enable_http_proxy", 0),
        ],
    )
