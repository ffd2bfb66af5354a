"""Which modules the fork server imports for workers and candidates."""

import contextlib
import multiprocessing
from pathlib import Path

from grpc_server.errors import ModelError
from grpc_server.runtimes.formats.format_table import format_named
from grpc_server.store.repository import Repository

_PROCESSES = ("grpc_server.workers.worker_process", "grpc_server.loading.candidate_process")


def preload_formats(models: Path) -> None:
    """Have the fork server import what the newest versions in a repository need, if it has not started yet.

    Each process then begins with these modules, instead of importing scikit-learn for one or two seconds.
    """
    loaders = sorted(_loaders(Repository(models)))
    multiprocessing.set_forkserver_preload(["grpc_server.workers.forkserver_setup", *_PROCESSES, *loaders])


def _loaders(repository: Repository) -> set[str]:
    """Modules that load these formats and begin no threads."""
    modules = set()
    for name in repository.names():
        with contextlib.suppress(ModelError):  # The process that needs it reports it.
            chosen = format_named(repository.manifest(name, repository.latest(name)).format)
            if chosen.forks:
                modules.add(chosen.loader.partition(":")[0])
    return modules
