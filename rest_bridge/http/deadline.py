"""The timeout of a request, from its headers."""

import re
from collections.abc import Mapping

from rest_bridge.json.request_problems import refusal

_SECONDS = re.compile(r"\d{1,32}(\.\d{1,32})?([eE][+-]?\d{1,3})?")
_GRPC = re.compile(r"(\d{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def timeout(headers: Mapping[bytes, bytes], default: float, longest: float) -> float:
    """Seconds from `X-Request-Timeout` (a number of seconds) or `grpc-timeout` (digits and a unit), the shorter of both.

    At most `longest`; `default` without either header. Raises RequestRefused for a malformed header, and for zero.
    """
    timeouts = [read(headers[name].decode("latin-1"), name.decode()) for name, read in _READERS if name in headers]
    return min([*timeouts, longest]) if timeouts else default


def _seconds(text: str, name: str) -> float:
    if not _SECONDS.fullmatch(text) or not float(text):
        raise refusal(400, "timeout", "must be a number of seconds above 0, such as 2.5", ["header", name])
    return float(text)


def _grpc(text: str, name: str) -> float:
    match = _GRPC.fullmatch(text)
    if not match or not int(match[1]):
        msg = "must be 1 to 8 digits above 0 and one of H, M, S, m, u, n, such as 2500m"
        raise refusal(400, "timeout", msg, ["header", name])
    return int(match[1]) * _UNITS[match[2]]


_READERS = ((b"x-request-timeout", _seconds), (b"grpc-timeout", _grpc))
