"""Imports gRPC without its event engine. A process that serves imports this before anything that imports `grpc`.

By default gRPC's event engine reads sockets on its own threads and wakes the thread that waits for events, which takes 5 to 10 % of
a call's time. Without it, the waiting thread reads the sockets. gRPC reads its environment when it is imported; releases that do
not know these experiments log one line and keep their default. A value that the operator set stays, and child processes inherit
nothing.
"""

import os

_VARIABLE = "GRPC_EXPERIMENTS"
NO_EVENT_ENGINE = "-event_engine_client,-event_engine_listener"

if _VARIABLE not in os.environ:
    os.environ[_VARIABLE] = NO_EVENT_ENGINE
    import grpc  # noqa: F401

    del os.environ[_VARIABLE]
