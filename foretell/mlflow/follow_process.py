"""`python -m foretell.mlflow.follow_process`: follows addresses in a registry of MLflow's, beside the servers of one repository.

A process of its own, the only one that imports MLflow: what that takes of time and memory, and what it may do to a process, is far
from every call. It is ready once there is a version of each model to serve; only where there is none is the registry asked before.
"""

import asyncio
import contextlib
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic_settings import CliApp

from foretell.mlflow.alias_sync import AliasSync
from foretell.mlflow.follow_setting import FollowSetting, follow_settings
from foretell.mlflow.mlflow_registry import MlflowRegistry, RegistryError, check_installed
from foretell.settings import ServeSettings
from foretell_contract.contract import Contract, load
from foretell_contract.errors import SetupError
from foretell_lifecycle.process import Launcher, run

logger = logging.getLogger(__name__)

_STAND_BY_SECONDS = 0.2
_JITTER = 0.2


class Following:
    """All pursuits of this process, for one thread: first `begin`, then `run`."""

    def __init__(self, pursuits: Sequence[AliasSync], seconds: float) -> None:
        self._pursuits = pursuits
        self._seconds = seconds
        self._registry: MlflowRegistry | None = None

    def begin(self) -> None:
        """Return once each model has a version to serve. Raises SetupError where the registry has none that can be."""
        for pursuit in self._pursuits:
            while not pursuit.servable and not pursuit.leads:
                time.sleep(_STAND_BY_SECONDS)  # Another process has begun.
            if not pursuit.servable:
                pursuit.begin(self._asked())

    def run(self) -> None:
        """Look again and again."""
        draw = secrets.SystemRandom()
        while True:
            self._look()
            time.sleep(self._seconds * draw.uniform(1 - _JITTER, 1 + _JITTER))  # Many servers may ask one registry.

    def _look(self) -> None:
        for pursuit in self._pursuits:
            try:
                registry = self._asked()
            except RegistryError as error:
                pursuit.suffer(error)
            else:
                pursuit.look(registry)

    def _asked(self) -> MlflowRegistry:
        self._registry = self._registry or MlflowRegistry()
        return self._registry


async def follow(launcher: Launcher) -> None:
    """Follow until told to stop. Raises SetupError for what cannot be followed, and where there is nothing to serve."""
    settings = CliApp.run(ServeSettings)
    wanted = follow_settings(settings.follow)
    check_installed()
    contract = load(settings.protos)
    _check_answered(wanted, contract, settings.protos)
    kind = contract.message("foretell.v1.ListModelsResponse")
    with tempfile.TemporaryDirectory(prefix="foretell-") as scratch:
        pursuits = [AliasSync(each, settings, kind, Path(scratch)) for each in wanted]
        following = Following(pursuits, settings.follow_seconds)
        await launcher.wait_if_supervised(_in_a_thread(following.begin))
        launcher.announce({"follows": [str(each) for each in wanted]}, f"following {', '.join(map(str, wanted))}")
        ended = asyncio.create_task(_in_a_thread(following.run))
        stopped = asyncio.create_task(launcher.wait_for_stop())
        done, _ = await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # What ended the thread ends the process, which the supervisor then starts again.


def _check_answered(wanted: Sequence[FollowSetting], contract: Contract, protos: Path) -> None:
    answered = sorted({service.model for service in contract.services})
    for each in wanted:
        if each.name not in answered:
            raise SetupError(
                f"no service in {protos} is answered by a model {each.name!r}, but by {', '.join(answered)}: "
                f"say which follows with --follow MODEL={each.address}"
            )


async def _in_a_thread(function: Callable[[], None]) -> None:
    """Run it in a thread that does not hold up the end of the process. Raises what it raises."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if over.done():
            return
        if error is None:
            over.set_result(None)
        else:
            over.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            function()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits for it any more.
            loop.call_soon_threadsafe(end, error)

    threading.Thread(target=work, daemon=True).start()
    await over


if __name__ == "__main__":
    run(follow)
