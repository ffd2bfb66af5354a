"""Settings of `foretell serve`: those of its processes, and their layout."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from foretell_contract.errors import SetupError
from grpc_server.settings import ServerSettings
from rest_bridge.settings import BridgeSettings


class ServeSettings(ServerSettings, BridgeSettings):
    """Settings of `foretell serve`. An unknown name in the TOML file is an error."""

    model_config = SettingsConfigDict(extra="forbid")

    processes: Annotated[int, Field(gt=0, le=1024)] | Literal["auto"] = 1
    """gRPC servers, each with its bridge, that share the two ports; `auto` is one for each usable core. Above 1 only on Linux."""

    bridge: Literal["inside", "beside"] = "inside"
    """Where the REST bridge runs: `inside` the process of the gRPC server, which it calls directly, or `beside` it, in a process of
    its own that calls over a Unix socket."""

    hang_seconds: float = Field(default=60.0, ge=2, le=3600, allow_inf_nan=False)
    """Longest time without a heartbeat of a process; then it is killed and restarted."""

    control_http: str = "off"
    """HOST:PORT of the control service over REST, with its own docs, beyond loopback only with TLS; or `off`."""

    follow: str | None = None
    """Addresses in an MLflow registry to follow, separated by commas: `models:/NAME@ALIAS` or `models:/NAME/latest`, after `MODEL=`
    if the model has another name here. When an address moves to another version, that is added and promoted."""

    follow_seconds: float = Field(default=30.0, ge=0.1, le=86_400, allow_inf_nan=False)
    """Seconds between two looks at that registry, give or take a fifth."""

    def check_control(self) -> None:
        """See ServerSettings."""
        super().check_control()
        if self.control_http == "off":
            return
        self._check_private("control_http", self.control_http)
        if self.control == "off":
            raise SetupError("control_http calls the servers on their control sockets: leave out control = off, or control_http")
