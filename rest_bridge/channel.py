"""The channel to the model server: all that the bridge needs of the server."""

from typing import Any, Protocol

import grpc


class ChannelCall(Protocol):
    """A call in flight. Awaiting it returns the serialised response or raises grpc.aio.AioRpcError."""

    def __await__(self) -> Any:
        """The serialised response."""

    async def trailing_metadata(self) -> Any:
        """Pairs of name and value."""

    def cancel(self) -> bool:
        """Cancel the call on the server too. Returns whether the call was in flight."""


class Channel(Protocol):
    """The part of `grpc.aio.Channel` that the bridge uses."""

    def unary_unary(self, method: str) -> Any:
        """A function of the serialised request, `timeout` in seconds and `metadata` that returns a ChannelCall."""


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel that fails at once while the server is unreachable and reconnects within a second of its return."""
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1_000),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # A restarted container may have another address.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16_384),
            ("grpc.enable_http_proxy", 0),
        ],
    )
