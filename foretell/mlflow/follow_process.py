"""`python -m foretell.mlflow.follow_process`: follows addresses in an MLflow registry, beside the servers of one repository.

It is the only process that imports MLflow, so that the import's time and memory cost no call. It is ready once each model has a
version to serve, and waits for the registry only if a model has none.
"""

import asyncio
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path

from pydantic_settings import CliApp

from foretell.mlflow.address import FollowSetting, follow_settings
from foretell.mlflow.alias_sync import AliasSync
from foretell.mlflow.mlflow_registry import MlflowRegistry, RegistryError, check_installed
from foretell.settings import ServeSettings
from foretell_contract.contract import Contract, load
from foretell_contract.errors import SetupError
from foretell_lifecycle.process import Launcher, run

logger = logging.getLogger(__name__)

_STAND_BY_SECONDS = 0.2
_JITTER = 0.2


_registry = cache(MlflowRegistry)
"""The client of this process, made at its first use; a failure is not cached."""


def start(syncs: Sequence[AliasSync]) -> None:
    """Blocks until each model has a version to serve. Raises SetupError if the registry has no usable version."""
    for sync in syncs:
        while not sync.has_version() and not sync.try_lead():
            time.sleep(_STAND_BY_SECONDS)  # Another process adds one.
        if not sync.has_version():
            sync.start(_registry())


def poll_forever(syncs: Sequence[AliasSync], seconds: float) -> None:
    """Polls the registry about every `seconds`."""
    random = secrets.SystemRandom()
    while True:
        for sync in syncs:
            try:
                registry = _registry()
            except RegistryError as error:
                sync.log_failure(error)
            else:
                sync.poll(registry)
        time.sleep(seconds * random.uniform(1 - _JITTER, 1 + _JITTER))  # Spreads the polls of many servers.


async def follow(launcher: Launcher) -> None:
    """Runs until a stop signal. Raises SetupError for an address that cannot be followed, or if there is nothing to serve."""
    settings = CliApp.run(ServeSettings)
    follows = follow_settings(settings.follow)
    check_installed()
    contract = load(settings.protos)
    _check_services(follows, contract, settings.protos)
    kind = contract.message("foretell.v1.ListModelsResponse")
    with tempfile.TemporaryDirectory(prefix="foretell-") as scratch:
        syncs = [AliasSync(each, settings, kind, Path(scratch)) for each in follows]
        await launcher.wait_if_supervised(_in_daemon_thread(partial(start, syncs)))
        launcher.announce({"follows": [str(each) for each in follows]}, f"following {', '.join(map(str, follows))}")
        ended = asyncio.create_task(_in_daemon_thread(partial(poll_forever, syncs, settings.follow_seconds)))
        stopped = asyncio.create_task(launcher.wait_for_stop())
        done, _ = await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # An error of the thread ends the process; the supervisor restarts it.


def _check_services(follows: Sequence[FollowSetting], contract: Contract, protos: Path) -> None:
    answered = sorted({service.model for service in contract.services})
    for each in follows:
        if each.name not in answered:
            raise SetupError(
                f"no service in {protos} is answered by a model {each.name!r}; there are {', '.join(answered)}: "
                f"name one with --follow MODEL={each.address}"
            )


async def _in_daemon_thread(function: Callable[[], None]) -> None:
    """Runs a function in a daemon thread, so that it does not delay the end of the process. Raises its errors."""
    ended: Future[None] = Future()

    def work() -> None:
        ended.set_running_or_notify_cancel()
        try:
            function()
        except Exception as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=work, daemon=True).start()
    await asyncio.wrap_future(ended)


if __name__ == "__main__":
    run(follow)
