"""How calls travel, sync and async alike: deadline, retries, keepalive and limits."""

import json

TIMEOUT = 5.0
"""Seconds that a call may take, retries included, where nothing else is said."""

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],  # A retry goes to another replica, where the name has several.
    "methodConfig": [
        {
            "name": [{}],
            # Five attempts, gRPC's most, wait 3.3 s in all: servers restart in less, and a caller with the default deadline hears
            # why there is no answer. Waiting for a ready channel would hide a wrong address behind "Deadline Exceeded".
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "backoffMultiplier": 3,
                "maxBackoff": "2s",
                # A server that stops cancels the calls it has not begun. What the caller cancels is not tried again.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
}

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # Pings less than 30 s apart make servers hang up, 60 s without traffic make middleboxes do so.
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that is back is found within half a second; one attempt to connect may take a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A refusal may list 50 violations; grpcio drops some metadata above 8 kB unless told otherwise.
    ("grpc.max_metadata_size", 16_384),
)
