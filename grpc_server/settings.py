"""Settings of the gRPC server."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from foretell_lifecycle.settings import ProcessSettings

UNAUTHENTICATED = "does not authenticate callers: let only a trusted network reach it, or set control_clients"
"""The end of a warning about a control service that is encrypted but takes calls from anyone."""


class ServerSettings(ProcessSettings):
    """Settings of `python -m grpc_server`."""

    models: Path = Path("models")
    """Folder of the model repository."""

    grpc_address: str = "127.0.0.1:50051"
    """HOST:PORT of the gRPC server. Port 0 takes a free port."""

    grpc_socket: Path | None = None
    """Unix socket on which the server listens too; `foretell serve` sets it for a bridge in a process of its own."""

    control: str = "socket"
    """Where `foretell.v1.ControlService` listens: `socket`, on Unix sockets in `.control` of the repository; `unix:DIR`, on
    Unix sockets in another folder; HOST:PORT, also on TCP, beyond loopback only with TLS; or `off`."""

    tls_certificate: Path | None = None
    """Certificate chain in PEM. With it, the TCP port takes encrypted calls only; Unix sockets stay unencrypted."""

    tls_key: Path | None = None
    """Private key of the certificate, in PEM."""

    control_clients: Path | None = None
    """Certificates in PEM that sign client certificates. With it, control over TCP requires a client certificate."""

    max_batch_rows: int = Field(default=1024, gt=0, le=2**31 - 1)
    """Most rows in one run of a model; waiting calls share it. A larger call runs alone."""

    max_queue_rows: int = Field(default=20_000, gt=0, le=2**31 - 1)
    """Most rows in the queue of a model; further calls get RESOURCE_EXHAUSTED."""

    max_message_bytes: int = Field(default=4 * 1024 * 1024, gt=0, le=2**31 - 1)
    """Largest gRPC message accepted, after decompression."""

    max_streams: int = Field(default=100, gt=0, le=2**31 - 1)
    """Most concurrent calls on one connection; further ones wait in the client. It limits what a flood of resets can do."""

    shell: Literal["auto", "loop", "aio"] = "auto"
    """Transport of gRPC calls: `loop`, on grpcio's private completion queue, three times as fast; `aio`, on its public asyncio
    server; `auto`, the loop if it passes a check at start, else aio with a warning."""

    placement: Literal["auto", "inline", "process"] = "auto"
    """Where models run: `inline`, on the thread that takes calls; `process`, in workers; `auto`, inline below 1 ms a row."""

    workers: Annotated[int, Field(gt=0, le=1024)] | Literal["auto"] = "auto"
    """Workers of a model with placement `process`, beside a spare; `auto` is one for each usable core."""

    worker_seconds: float = Field(default=60.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time for one run in a worker; then the worker is killed and replaced, and the call fails with INTERNAL."""

    worker_max_mb: int = Field(default=0, ge=0)
    """Resident memory in MB above which a worker is replaced between two runs; 0 for no limit."""

    gate_seconds: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time for each gate of a candidate; a slower version is refused."""

    max_row_seconds: float = Field(default=10.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time for one row in a gate; a slower version is refused."""

    allow_version_skew: bool = False
    """Whether to serve models that another minor version of scikit-learn trained, instead of refusing them."""

    keep_warm: int = Field(default=1, ge=0, le=64)
    """Versions that stay in memory after their last alias is gone, the latest ones, so that a rollback to them is instant."""

    shadow_mb: int = Field(default=32, ge=0, le=10_000)
    """Disk space in MB for the outputs of shadow and production of each model; the oldest are deleted first, and 0 stores none."""

    shadow_features: bool = True
    """Whether the features are stored too, so that `foretell shadow-report` can show the rows that differ most."""

    shadow_folder: Path | None = None
    """Folder of the stored outputs, with a subfolder for each model; by default `.shadow` in the folder of the model."""

    reflection: bool = True
    """Whether gRPC reflection is served, with which grpcurl and others list and describe the services."""

    def with_absolute_paths(self) -> Self:
        """The same settings with absolute paths, since loading a model may change the working directory."""
        changes: dict[str, object] = {"models": self.models.absolute(), "protos": self.protos.absolute()}
        if self.shadow_folder is not None:
            changes["shadow_folder"] = self.shadow_folder.absolute()
        if self.control.startswith("unix:"):
            changes["control"] = f"unix:{self.control_folder.absolute()}"
        return self.model_copy(update=changes)

    @property
    def control_folder(self) -> Path:
        """Folder of the control sockets."""
        return Path(self.control.removeprefix("unix:")) if self.control.startswith("unix:") else self.models / ".control"

    @property
    def control_address(self) -> str:
        """HOST:PORT of the control service; empty if it does not listen on TCP."""
        return "" if self.control in ("socket", "off") or self.control.startswith("unix:") else self.control

    def check_control(self) -> None:
        """Raise SetupError if the control service would take unencrypted calls from a network."""
        if self.control_clients and not self.tls_certificate:
            raise SetupError("control_clients is for encrypted calls: set tls_certificate and tls_key too, or leave it out")
        if self.control_address:
            self._check_private("control", self.control_address)

    def _check_private(self, name: str, given: str) -> None:
        host, _ = address.split(given)
        if not (self.tls_certificate or address.is_loopback(host)):
            raise SetupError(
                f"{name} on {given} would let anyone on the network change routes: "
                "listen on 127.0.0.1, or set tls_certificate and tls_key"
            )
