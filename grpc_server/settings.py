"""What the gRPC server can be told."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from foretell_lifecycle.settings import ProcessSettings

OPEN_TO_ALL = "asks nobody who they are: let only a trusted network reach it, or set control_clients"
"""What is to be said of a control service that is encrypted and no more."""


class ServerSettings(ProcessSettings):
    """Settings of `python -m grpc_server`."""

    models: Path = Path("models")
    """Folder of the model repository."""

    grpc_address: str = "127.0.0.1:50051"
    """HOST:PORT of the gRPC server. Port 0 takes a free port."""

    grpc_socket: Path | None = None
    """Unix socket on which the server listens as well; `foretell serve` sets it for a bridge that runs beside."""

    control: str = "socket"
    """Where `foretell.v1.ControlService` listens: `socket`, on Unix sockets in `.control` of the repository; `unix:DIR`, in another
    folder; HOST:PORT, there as well, beyond loopback only with TLS; or `off`."""

    tls_certificate: Path | None = None
    """Certificate chain in PEM: with it the TCP port takes encrypted calls only. The Unix socket stays as it is."""

    tls_key: Path | None = None
    """Private key of the certificate, in PEM."""

    control_clients: Path | None = None
    """Certificates in PEM of who signs those of callers: with it, control over TCP is only for callers that show one of these."""

    max_batch_rows: int = Field(default=1024, gt=0, le=2**31 - 1)
    """Most rows that waiting calls send through the model together. A larger call runs alone."""

    max_queue_rows: int = Field(default=20_000, gt=0, le=2**31 - 1)
    """Most rows that may wait for one model; beyond it calls are refused with RESOURCE_EXHAUSTED."""

    max_message_bytes: int = Field(default=4 * 1024 * 1024, gt=0, le=2**31 - 1)
    """Largest gRPC message accepted, after decompression."""

    max_streams: int = Field(default=100, gt=0, le=2**31 - 1)
    """Most calls under way on one connection; further ones wait in the client. It keeps a reset flood off the others."""

    shell: Literal["auto", "loop", "aio"] = "auto"
    """What takes gRPC calls from the network: `loop`, grpcio's private completion queue, three times as fast; `aio`, its public
    asyncio server; `auto`, the loop where it passes a check at start, else aio with a warning."""

    placement: Literal["auto", "inline", "process"] = "auto"
    """Where models run: `inline` where calls are taken in, `process` in workers; `auto` goes by what a run takes: 1 ms a row."""

    workers: Annotated[int, Field(gt=0, le=1024)] | Literal["auto"] = "auto"
    """Worker processes of a model that runs in processes, beside a spare; `auto` is one for each usable core."""

    worker_seconds: float = Field(default=60.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time a worker may take for one run; beyond it the worker is killed and replaced, and the call fails with INTERNAL."""

    worker_max_mb: int = Field(default=0, ge=0)
    """Resident memory in MB above which a worker is replaced between two runs; 0 for no limit."""

    gate_seconds: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time a version may take at each gate on its way to be served; a slower one is refused."""

    max_row_seconds: float = Field(default=10.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time a version may take for one row while it is tried; a slower one is refused."""

    allow_version_skew: bool = False
    """Whether a model may be served that another minor version of scikit-learn trained; without it, such a one is refused."""

    keep_warm: int = Field(default=1, ge=0, le=64)
    """Versions kept in memory after nothing names them any more, the last ones, so that a rollback to them is instant."""

    shadow_mb: int = Field(default=32, ge=0, le=10_000)
    """Megabytes of disk for the answers of a shadow and of production, for each model; the oldest make room, and 0 keeps none."""

    shadow_features: bool = True
    """Whether the features of those rows are kept as well, so that `foretell shadow-report` can show which differ most."""

    shadow_folder: Path | None = None
    """Folder for that, with one for each model; without it, `.shadow` in the folder of the model."""

    reflection: bool = True
    """Whether grpcurl and others may list and describe the services."""

    def anchored(self) -> Self:
        """The same, with paths that hold in whatever directory a model puts the process."""
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
        """HOST:PORT of the control service; empty where it has none."""
        return "" if self.control in ("socket", "off") or self.control.startswith("unix:") else self.control

    def check_control(self) -> None:
        """Raises SetupError where control would be open to a network without encryption."""
        if self.control_clients and not self.tls_certificate:
            raise SetupError("control_clients is for encrypted calls: set tls_certificate and tls_key as well, or leave it out")
        if self.control_address:
            self._check_private("control", self.control_address)

    def _check_private(self, name: str, given: str) -> None:
        host, _ = address.split(given)
        if not (self.tls_certificate or address.is_loopback(host)):
            raise SetupError(
                f"{name} on {given} would let the network change what answers: "
                "listen on 127.0.0.1, or set tls_certificate and tls_key"
            )
