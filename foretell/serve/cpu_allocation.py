"""How several processes share the cores, so that they do not fight for them."""

from foretell.settings import ServeSettings


def processes(settings: ServeSettings) -> int:
    """How many there are."""
    if settings.processes != "auto":
        return settings.processes
    from grpc_server.workers.cost import cores  # It is slow to import, and seldom needed.

    return cores()


def workers(settings: ServeSettings, count: int) -> int:
    """How many workers a slow model has in each of `count` processes."""
    if settings.workers != "auto":
        return settings.workers
    from grpc_server.workers.cost import cores

    return max(1, cores() // count)


def threads(settings: ServeSettings, count: int) -> dict[str, str]:
    """Environment variables that keep the numerical libraries of `count` processes, and of their workers, within the cores."""
    from grpc_server.workers.cost import cores
    from grpc_server.workers.model_process import THREADS

    return dict.fromkeys(THREADS, str(max(1, cores() // (count * workers(settings, count)))))
