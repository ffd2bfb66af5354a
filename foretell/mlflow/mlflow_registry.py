"""A registry of MLflow's, as `MLFLOW_REGISTRY_URI`, or else `MLFLOW_TRACKING_URI`, names it.

MLflow is imported by the constructor, never before: it takes seconds and a hundred megabytes.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foretell.mlflow.address import Address
from foretell_contract.errors import SetupError
from grpc_server.store.manifest import RegistrySource

_DEFAULTS = {
    # Its own, two minutes and seven times again, would notice a registry that is down in ages.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # A server of models calls nobody that its operator has not named.
}
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_MOST = 300
"""Letters of what MLflow says that are shown."""


class RegistryError(SetupError):
    """The registry does not answer, or has no such version."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One version in the registry."""

    name: str
    version: str
    source: RegistrySource


class MlflowRegistry:
    """Answers about registered models. For one thread."""

    def __init__(self) -> None:
        """Import MLflow. Raises RegistryError where it is not installed, or knows no such kind of registry."""
        self._registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or ""
        self._check_there()  # Before an import that takes seconds.
        self._mlflow = _imported()
        self._registry = str(self._mlflow.get_registry_uri())
        self._check_there()
        with self._answering("the registry"):
            self._client = self._mlflow.MlflowClient()

    def resolve(self, address: Address) -> Registered:
        """The version that an address names now. Raises RegistryError."""
        self._check_there()
        with self._answering(str(address)):
            found = self._find(address)
        if found is None:
            raise RegistryError(f"{address} names no version in the registry {self._place}")
        if found.status != "READY":
            raise RegistryError(f"version {found.version} of {address.name} is {found.status} in the registry {self._place}")
        version = str(found.version)
        facts = f"{found.source} {found.run_id} {found.creation_timestamp}"
        identity = hashlib.sha256(facts.encode()).hexdigest()[:16]  # Not the facts: an artifact's address is nobody's business.
        return Registered(address.name, version, RegistrySource(address=str(Address(address.name, version=version)), id=identity))

    @property
    def _place(self) -> str:
        """Without the user and the password that an address may hold."""
        return _shown(self._registry)

    def download(self, registered: Registered, into: Path) -> Path:
        """The folder of a version, in a folder of ours. Raises RegistryError."""
        address = registered.source.address
        with self._answering(address):
            return Path(self._mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(into)))

    def _check_there(self) -> None:
        """MLflow would make an empty database where there is none, as beside a server that was told of no registry."""
        path = self._registry.removeprefix("sqlite:///")
        if path != self._registry and not Path(path).is_file():
            raise RegistryError(f"there is no registry {self._place}: set MLFLOW_TRACKING_URI, or MLFLOW_REGISTRY_URI, to one")

    def _find(self, address: Address) -> Any:
        if address.alias:
            return self._client.get_model_version_by_alias(address.name, address.alias)
        if address.version.isdecimal():
            return self._client.get_model_version(address.name, address.version)
        newest = self._client.get_registered_model(address.name).latest_versions  # One for each stage, where there still are any.
        return max(newest, key=lambda version: int(version.version), default=None)

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        """Raises RegistryError for whatever MLflow raises: its stores, and its plugins, raise anything."""
        try:
            yield
        except Exception as error:
            said = " ".join(_shown(str(error)).split())[:_MOST] or type(error).__name__
            raise RegistryError(f"{what} cannot be had from the registry {self._place}: {said}") from error


def check_installed() -> None:
    """Raises RegistryError where MLflow is not; without the time that its import takes."""
    if find_spec("mlflow") is None:
        raise _missing("mlflow")


def _missing(name: str) -> RegistryError:
    return RegistryError(f"a registry of MLflow's needs {name}: pip install 'foretell[mlflow]'")


def _imported() -> Any:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
        import mlflow.artifacts
    except ModuleNotFoundError as missing:
        raise _missing(missing.name or "mlflow") from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # It logs the trace of what it raises as well.
    return mlflow


def _shown(text: str) -> str:
    """Without the user and the password that an address may hold."""
    return _CREDENTIALS.sub("//", text)
