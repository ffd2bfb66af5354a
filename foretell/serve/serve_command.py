"""`foretell serve`: from its settings to a supervisor with the processes, on ports that it reserves for them."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
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


def serve(flags: dict[str, str], prepare: Callable[[ServeSettings], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, after `prepare`. Raises SetupError if it cannot start."""
    log_to_stderr()
    _refuse_unknown_variables()
    try:
        settings = ServeSettings(**flags)  # type: ignore[arg-type]  # pydantic turns text into each field's type
    except ValidationError as error:
        raise settings_error(error) from None
    settings.check_control()
    environment = os.environ | {f"FORETELL_{name.upper()}": value for name, value in flags.items()}
    if prepare:
        prepare(settings)
        sys.stdout.flush()
        # A program of its own, since the libraries that a model has imported take 200 MiB.
        os.execve(sys.executable, [sys.executable, "-m", "foretell", "serve"], environment)  # noqa: S606
    count = process_count(settings)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="foretell-"))
        roles = tiers(settings, count, Path(folder))
        if count > 1:
            environment = thread_limits(settings, count) | environment
            environment |= {"FORETELL_SHARE_PORTS": "true", "FORETELL_WORKERS": str(worker_count(settings, count))}
            shared = {
                "grpc_address": settings.grpc_address,
                "http_address": settings.http_address,
                "control": settings.control_address,
            }
            for name, value in shared.items():
                if value:
                    reservation = stack.enter_context(address.reserve(value, f"--{name.replace('_', '-')}"))
                    environment[f"FORETELL_{name.upper()}"] = address.join(address.split(value)[0], reservation.getsockname()[1])
        stop_seconds = settings.drain_seconds * (2 if settings.bridge == "inside" else 1) + _EXTRA_STOP_SECONDS
        asyncio.run(Supervisor(roles, environment, settings.hang_seconds, stop_seconds).run())


def _refuse_unknown_variables() -> None:
    """Raise SetupError for a misspelt variable, which would else be ignored."""
    known = {f"FORETELL_{name.upper()}" for name in ServeSettings.model_fields} | {"FORETELL_CONFIG"}
    for name in os.environ:
        if name.startswith("FORETELL_") and name not in known:
            hint = did_you_mean(name.removeprefix("FORETELL_").lower(), ServeSettings.model_fields)
            raise SetupError(f"the variable {name} is not a setting{hint}")
