"""Deadline, retries, keepalive and limits of a channel, for the sync and the async client."""

import json
import re

TIMEOUT = 5.0
"""Default deadline of a call in seconds, retries included."""

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],  # A retry goes to another replica, if the name has several.
    "methodConfig": [
        {
            "name": [{}],
            # Five attempts, gRPC's maximum, wait 3.3 s in all: servers restart in less, and the last error arrives within the
            # default deadline. With wait_for_ready, a wrong address would show as "Deadline Exceeded".
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "backoffMultiplier": 3,
                "maxBackoff": "2s",
                # A stopping server cancels calls that it has not begun. A call that the caller cancels is not retried.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
}

_LOOPBACK = re.compile(r"(^|[/:])(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$")
"""The end of a target on this machine, in any form of gRPC, such as `dns:///localhost:50051`."""

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # Servers close connections with pings less than 5 s apart, middleboxes those without traffic for 60 s.
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted server is found within half a second; an attempt to connect may take a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # An error may list 50 violations; by default, grpcio drops metadata above 8 kB.
    ("grpc.max_metadata_size", 16_384),
)


def options(target: str) -> tuple[tuple[str, str | int], ...]:
    """The options of a channel to `target`. One to this machine takes no proxy, whatever `http_proxy` says; others do."""
    return (*OPTIONS, ("grpc.enable_http_proxy", 0)) if _LOOPBACK.search(target) else OPTIONS
