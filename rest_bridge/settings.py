"""The settings of the REST bridge."""

from pydantic import Field

from foretell_lifecycle.settings import ProcessSettings


class BridgeSettings(ProcessSettings):
    """Settings of `python -m rest_bridge`."""

    http_address: str = "127.0.0.1:8000"
    """HOST:PORT of the REST bridge. Port 0 takes a free port."""

    target: str = "127.0.0.1:50051"
    """gRPC server to call: HOST:PORT, or `unix:` and the path of a socket."""

    max_body_bytes: int = Field(default=4 * 1024 * 1024, gt=0, le=2**31 - 1)
    """Largest request body accepted; beyond it 413."""

    body_seconds: float = Field(default=10.0, gt=0, le=3600, allow_inf_nan=False)
    """Longest time a request body may take to arrive; beyond it 408."""

    request_seconds: float = Field(default=30.0, gt=0, le=86400, allow_inf_nan=False)
    """Deadline of a request without one of its own."""

    max_request_seconds: float = Field(default=60.0, gt=0, le=86400, allow_inf_nan=False)
    """Longest deadline that a request may set; a longer one is shortened to it."""
