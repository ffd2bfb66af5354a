"""How gRPC's core waits for its sockets."""

import os


def poll_in_place() -> None:
    """Have whoever waits for gRPC's events read the sockets as well. To be called before `grpc` is imported, which looks once.

    By default its event engine reads them on threads of its own and wakes the one that waits, which costs a call a twentieth to a
    tenth of its time. The releases that we allow still have both ways. Whatever an operator asks for in GRPC_EXPERIMENTS stands.
    """
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
