"""The settings of the REST bridge."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import Field, ValidationInfo, field_validator

from foretell_lifecycle.settings import ProcessSettings

ROOT_PATH = re.compile(r"(?:/[\w.~!$&'()*+;=:@%-]+)*", re.ASCII)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of `trusted_proxies`. Raises ValueError."""
    parts = "0.0.0.0/0,::/0" if text == "*" else text
    return tuple(ip_network(part.strip(), strict=False) for part in parts.split(",") if part.strip())


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

    root_path: str | None = None
    """Path under which a proxy serves the bridge, such as `/models`; with and without it, requests are answered."""

    trusted_proxies: str | None = None
    """Addresses or networks of proxies whose `X-Forwarded-Prefix` replaces `root_path`, separated by commas; `*` for all."""

    @field_validator("root_path", "trusted_proxies")
    @classmethod
    def _check_proxy(cls, given: str | None, field: ValidationInfo) -> str | None:
        if field.field_name == "trusted_proxies":
            networks(given or "")
        elif not ROOT_PATH.fullmatch(given or ""):
            raise ValueError(f"{given!r} must be a path such as /models, without a slash at its end")
        return given
