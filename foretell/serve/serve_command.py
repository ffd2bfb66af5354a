"""`foretell serve`: from settings to the processes that they ask for, on ports that are held for them."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from foretell.serve.cpu_allocation import processes, threads, workers
from foretell.serve.process_layout import tiers
from foretell.serve.supervisor import Supervisor
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_contract.source.suggestion import did_you_mean
from foretell_lifecycle import address
from foretell_lifecycle.process import log_to_stderr
from foretell_lifecycle.settings import settings_error

_BEYOND_DRAIN = 5.0


def serve(flags: dict[str, str]) -> None:
    """Serve until told to stop. Raises SetupError for what cannot be served."""
    log_to_stderr()
    _refuse_unknown_variables()
    try:
        settings = ServeSettings(**flags)  # type: ignore[arg-type]  # pydantic turns text into each field's type
    except ValidationError as error:
        raise settings_error(error) from None
    settings.check_control()
    count = processes(settings)
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="foretell-"))
        roles = tiers(settings, count, Path(folder))
        environment = dict(os.environ)
        told = dict(flags)
        if count > 1:
            environment = threads(settings, count) | environment
            told |= {"share_ports": "true", "workers": str(workers(settings, count))}
            for name, given in _ports(settings):
                holder = held.enter_context(address.hold(given, f"--{name.replace('_', '-')}"))
                told[name] = address.join(address.split(given)[0], holder.getsockname()[1])
        environment |= {f"FORETELL_{name.upper()}": value for name, value in told.items()}
        patience = settings.drain_seconds * (2 if settings.bridge == "inside" else 1) + _BEYOND_DRAIN
        asyncio.run(Supervisor(roles, environment, settings.hang_seconds, patience).run())


def _ports(settings: ServeSettings) -> Iterator[tuple[str, str]]:
    """What several processes share, by the settings that say so."""
    yield "grpc_address", settings.grpc_address
    yield "http_address", settings.http_address
    if settings.control_address:
        yield "control", settings.control_address


def _refuse_unknown_variables() -> None:
    """A misspelt variable would be a setting that silently is not made."""
    known = {f"FORETELL_{name.upper()}" for name in ServeSettings.model_fields} | {"FORETELL_CONFIG"}
    for name in os.environ:
        if name.startswith("FORETELL_") and name not in known:
            hint = did_you_mean(name.removeprefix("FORETELL_").lower(), ServeSettings.model_fields)
            raise SetupError(f"the variable {name} is no setting{hint}")
