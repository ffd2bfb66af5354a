"""Client of the MLflow registry that `MLFLOW_REGISTRY_URI`, or else `MLFLOW_TRACKING_URI`, names.

The constructor imports MLflow, which takes seconds and a hundred megabytes.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foretell.mlflow.address import Address
from foretell_contract.errors import SetupError
from grpc_server.store.manifest import RegistrySource

_DEFAULTS = {
    # MLflow's own defaults, two minutes and seven retries, notice too late that a registry is down.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # A model server calls only hosts that its operator names.
}
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_MOST = 300
"""Characters of an MLflow error that are shown."""


class RegistryError(SetupError):
    """The registry does not answer, or has no such version."""


class MlflowRegistry:
    """Resolves addresses and downloads models. Blocking, for one thread."""

    def __init__(self) -> None:
        """Imports MLflow. Raises RegistryError if it is not installed, or does not support the registry's URI."""
        self._registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or ""
        self._check_exists()  # The import takes seconds.
        self._mlflow = _imported()
        self._registry = str(self._mlflow.get_registry_uri())
        self._check_exists()
        with self._mlflow_errors("the client"):
            self._client = self._mlflow.MlflowClient()

    def resolve(self, address: Address) -> RegistrySource:
        """The version that an address names now. Raises RegistryError."""
        self._check_exists()
        with self._mlflow_errors(str(address)):
            found = self._find(address)
        if found is None:
            raise RegistryError(f"{address} names no version in the registry {self._shown}")
        if found.status != "READY":
            raise RegistryError(f"version {found.version} of {address.name} is {found.status} in the registry {self._shown}")
        facts = f"{found.source} {found.run_id} {found.creation_timestamp}"
        identity = hashlib.sha256(facts.encode()).hexdigest()[:16]  # Hashed, since the location of an artifact may be confidential.
        return RegistrySource(address=str(Address(address.name, version=str(found.version))), id=identity)

    @property
    def _shown(self) -> str:
        """The registry's URI without user and password."""
        return _CREDENTIALS.sub("//", self._registry)

    def download(self, source: RegistrySource, into: Path) -> Path:
        """Downloads a version into a folder; returns its folder there. Raises RegistryError."""
        with self._mlflow_errors(source.address):
            return Path(self._mlflow.artifacts.download_artifacts(artifact_uri=source.address, dst_path=str(into)))

    def _check_exists(self) -> None:
        """Raises RegistryError for a missing SQLite file, which MLflow would create."""
        path = self._registry.removeprefix("sqlite:///")
        if path != self._registry and not Path(path).is_file():
            raise RegistryError(f"there is no registry {self._shown}: set MLFLOW_TRACKING_URI, or MLFLOW_REGISTRY_URI, to one")

    def _find(self, address: Address) -> Any:
        if address.alias:
            return self._client.get_model_version_by_alias(address.name, address.alias)
        if address.version.isdecimal():
            return self._client.get_model_version(address.name, address.version)
        newest = self._client.get_registered_model(address.name).latest_versions  # One a stage, in registries that have stages.
        return max(newest, key=lambda version: int(version.version), default=None)

    @contextmanager
    def _mlflow_errors(self, subject: str) -> Iterator[None]:
        """Turns every error within the block into RegistryError: MLflow's stores and plugins raise errors of any type."""
        try:
            yield
        except Exception as error:
            reason = " ".join(_CREDENTIALS.sub("//", str(error)).split())[:_MOST] or type(error).__name__
            raise RegistryError(f"cannot get {subject} from the registry {self._shown}: {reason}") from error


def check_installed() -> None:
    """Raises RegistryError if MLflow is not installed, without importing it."""
    if find_spec("mlflow") is None:
        raise _missing("mlflow")


def _missing(name: str) -> RegistryError:
    return RegistryError(f"an MLflow registry needs {name}: pip install 'foretell[mlflow]'")


def _imported() -> Any:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
        import mlflow.artifacts
    except ModuleNotFoundError as missing:
        raise _missing(missing.name or "mlflow") from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # MLflow also logs the errors that it raises.
    return mlflow
