"""How many server processes, workers and threads `foretell serve` uses, so that they do not compete for the cores."""

from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import BALANCES_SHARED_PORTS


def process_count(settings: ServeSettings) -> int:
    """Server processes; one where the system cannot share ports. Raises SetupError if the settings ask for more there."""
    if settings.processes == 1:
        return 1
    if BALANCES_SHARED_PORTS:
        return _cores() if settings.processes == "auto" else settings.processes
    if settings.processes == "auto":
        return 1
    raise SetupError(f"processes is {settings.processes}, but only Linux shares a port among processes: set it to 1")


def worker_count(settings: ServeSettings, processes: int) -> int:
    """Workers of a slow model in each of `processes`."""
    return max(1, _cores() // processes) if settings.workers == "auto" else settings.workers


def thread_limits(settings: ServeSettings, processes: int) -> dict[str, str]:
    """Environment variables that limit the threads of numerical libraries in `processes` and their workers to the cores."""
    from grpc_server.workers.model_process import THREADS

    return dict.fromkeys(THREADS, str(max(1, _cores() // (processes * worker_count(settings, processes)))))


def _cores() -> int:
    from grpc_server.workers.cost import cores  # Slow to import, and one process does not need it.

    return cores()
