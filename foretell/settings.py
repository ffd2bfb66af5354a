"""What `foretell serve` can be told: all settings of the processes it starts."""

from pydantic_settings import SettingsConfigDict

from grpc_server.settings import ServerSettings
from rest_bridge.settings import BridgeSettings


class ServeSettings(ServerSettings, BridgeSettings):
    """Settings of `foretell serve`. A name in the TOML file that is no setting is refused."""

    model_config = SettingsConfigDict(extra="forbid")
