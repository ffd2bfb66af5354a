"""`foretell serve`: from its settings to a supervisor with the processes, on ports that it reserves for them."""

import asyncio
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from foretell.serve.process_layout import process_count, thread_limits, tiers, worker_count
from foretell.serve.supervisor import Supervisor
from foretell.settings import ServeSettings
from foretell_contract.errors import SetupError
from foretell_contract.source.spelling import did_you_mean
from foretell_lifecycle import address
from foretell_lifecycle.process import log_to_stderr
from foretell_lifecycle.settings import settings_error

_EXTRA_STOP_SECONDS = 5.0


def serve(flags: dict[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises SetupError if it cannot start."""
    log_to_stderr()
    _refuse_unknown_variables()
    try:
        settings = ServeSettings(**flags)  # type: ignore[arg-type]  # pydantic turns text into each field's type
    except ValidationError as error:
        raise settings_error(error) from None
    settings.check_control()
    count = process_count(settings)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="foretell-"))
        roles = tiers(settings, count, Path(folder))
        environment = dict(os.environ)
        given = dict(flags)
        if count > 1:
            environment = thread_limits(settings, count) | environment
            given |= {"share_ports": "true", "workers": str(worker_count(settings, count))}
            shared = {
                "grpc_address": settings.grpc_address,
                "http_address": settings.http_address,
                "control": settings.control_address,
            }
            for name, value in shared.items():
                if value:
                    reservation = stack.enter_context(address.reserve(value, f"--{name.replace('_', '-')}"))
                    given[name] = address.join(address.split(value)[0], reservation.getsockname()[1])
        environment |= {f"FORETELL_{name.upper()}": value for name, value in given.items()}
        stop_seconds = settings.drain_seconds * (2 if settings.bridge == "inside" else 1) + _EXTRA_STOP_SECONDS
        asyncio.run(Supervisor(roles, environment, settings.hang_seconds, stop_seconds).run())


def _refuse_unknown_variables() -> None:
    """Raise SetupError for a misspelt variable, which would else be ignored."""
    known = {f"FORETELL_{name.upper()}" for name in ServeSettings.model_fields} | {"FORETELL_CONFIG"}
    for name in os.environ:
        if name.startswith("FORETELL_") and name not in known:
            hint = did_you_mean(name.removeprefix("FORETELL_").lower(), ServeSettings.model_fields)
            raise SetupError(f"the variable {name} is not a setting{hint}")
