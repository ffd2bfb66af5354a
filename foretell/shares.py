"""How several processes share the cores, so that they do not fight for them."""

from foretell.settings import ServeSettings


def processes(settings: ServeSettings) -> int:
    """How many there are."""
    if settings.processes != "auto":
        return settings.processes
    from grpc_server.cost import cores  # It is slow to import, and seldom needed.

    return cores()


def share(settings: ServeSettings, count: int) -> dict[str, str]:
    """Environment variables that keep each of `count` processes, and the workers of its models, to its share of the cores."""
    if count == 1:
        return {}
    from grpc_server.child import THREADS
    from grpc_server.cost import cores

    workers = max(1, cores() // count) if settings.workers == "auto" else settings.workers
    threads = max(1, cores() // (count * workers))
    return {"FORETELL_WORKERS": str(workers)} | dict.fromkeys(THREADS, str(threads))
