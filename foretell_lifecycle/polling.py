"""gRPC for a process that serves, to be imported before anything that imports `grpc`: it looks at its environment only then.

Whoever waits for gRPC's events reads the sockets as well. By default its event engine reads them on threads of its own and wakes
the one that waits, which costs a call a twentieth to a tenth of its time. The releases that we allow have both ways. What an
operator asks for in GRPC_EXPERIMENTS stands; nothing is left there for what this process starts.
"""

import os

_ASKED = "GRPC_EXPERIMENTS"

IN_PLACE = "-event_engine_client,-event_engine_listener"

if _ASKED not in os.environ:
    os.environ[_ASKED] = IN_PLACE
    import grpc  # noqa: F401

    del os.environ[_ASKED]
