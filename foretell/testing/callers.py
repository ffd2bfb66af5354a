"""Send requests as bytes to a running server, over gRPC and over REST."""

import http.client
import json
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from foretell.testing.case import BrokenRule, Reply, broken_rule
from foretell_contract.errors import SetupError
from foretell_contract.service import Method, Shape
from grpc_server.transport.tls import UNENCRYPTED, Trust, is_encrypted
from rest_bridge.json.grpc_to_http import detail, status_details

_TIMEOUT = 30.0
"""Seconds until a call without a reply fails."""

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    # A refusal may list 50 violations; by default, grpcio drops metadata above 8 kB.
    ("grpc.max_metadata_size", 16_384),
)
_JSON = {"content-type": "application/json"}


def open_channel(target: str, trust: Trust = UNENCRYPTED) -> grpc.Channel:
    """A channel to HOST:PORT. Raises SetupError if the certificates cannot be read."""
    credentials = trust.credentials()
    return grpc.insecure_channel(target, _OPTIONS) if credentials is None else grpc.secure_channel(target, credentials, _OPTIONS)


class GrpcCaller:
    """Makes gRPC calls on a channel. Blocks until the reply."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel: Any = channel  # grpc's type stubs do not cover calls with bytes.

    def call(self, method: Method, messages: tuple[bytes, ...]) -> Reply:
        """The reply to one message, or to a stream of them."""
        if method.shape is Shape.STREAM:
            call = self._channel.stream_stream(method.path)(iter(messages), timeout=_TIMEOUT)
        else:
            call = self._channel.unary_stream(method.path)(messages[0], timeout=_TIMEOUT)
        received: list[bytes] = []
        try:
            received.extend(call)
        except grpc.RpcError:
            return _refusal(call)
        version = str(dict(call.trailing_metadata() or ()).get("model-version", ""))
        try:
            return Reply("OK", tuple(map(method.response.FromString, received)), version=version)
        except DecodeError:
            return Reply(f"OK, but the reply is not a {method.output.full_name}")


def _refusal(call: Any) -> Reply:
    code, text, status = call.code(), call.details() or "", status_details(call)
    info, bad = (detail(status, kind) or kind() for kind in (ErrorInfo, BadRequest))
    if code is not grpc.StatusCode.INVALID_ARGUMENT or not (info.reason or bad.field_violations):
        return Reply(code.name, text=text)
    problems = tuple((broken_rule(each.field, each.reason), each.description) for each in bad.field_violations)
    omitted = max(0, int(info.metadata.get("violations", "0")) - len(problems)) if problems else 0
    return Reply(code.name, problems=problems or ((broken_rule("", info.reason.lower()), text),), omitted=omitted, text=text)


class RestCaller:
    """Makes HTTP requests over one connection at a time. Blocks until the response."""

    def __init__(self, url: str, roots: Path | None) -> None:
        """Raises SetupError if `url` is not an HTTP address or the roots cannot be read."""
        self.url = url
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SetupError(f"{url!r} is not a REST address: write http://HOST:PORT")
        self._prefix = parts.path.rstrip("/")
        if parts.scheme == "http":
            self._connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        else:
            self._connection = http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT, context=_context(roots))

    def call(self, method: Method, body: bytes) -> Reply:
        """The reply to a POST of `body`."""
        try:
            return self.request("POST", method.paths[0], body)
        except (OSError, http.client.HTTPException) as error:
            return Reply("no answer", text=f"{type(error).__name__}: {error}")

    def request(self, verb: str, path: str, body: bytes | None = None) -> Reply:
        """Sends one request. Raises OSError or HTTPException if it fails on a new connection too."""
        try:
            return self._request(verb, path, body)
        except (OSError, http.client.HTTPException):
            self._connection.close()  # The server may have closed an idle connection.
            return self._request(verb, path, body)

    def problem(self, error: Exception) -> str:
        """The problem behind the error of a request, and its fix."""
        scheme, _, rest = self.url.rpartition("//")
        encrypted = is_encrypted(rest.partition("/")[0])
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{self.url} has an untrusted certificate, or one for another name: add --roots FILE with its issuer"
        if encrypted is not None and encrypted != (scheme == "https:"):
            return f"{self.url} takes {'' if encrypted else 'un'}encrypted requests only: write http{'s' * encrypted}://{rest}"
        return f"no REST server answers at {self.url}: {error}"

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _request(self, verb: str, path: str, body: bytes | None) -> Reply:
        self._connection.request(verb, self._prefix + path, body, _JSON)
        response = self._connection.getresponse()
        return rest_reply(response.status, response.read(), response.getheader("model-version", ""))


def rest_reply(status: int, body: bytes, version: str) -> Reply:
    """The reply in an HTTP response to the REST path of a method; `version` is its header `model-version`."""
    document: Any = None
    with suppress(ValueError):
        document = json.loads(body)
    listed = document.get("detail") if isinstance(document, dict) else None
    problems: tuple[tuple[BrokenRule, str], ...] = ()
    omitted = 0
    if status == http.client.UNPROCESSABLE_ENTITY and isinstance(listed, list):
        problems = tuple((broken_rule(each["loc"][1:], each["type"]), each["msg"]) for each in listed)
        omitted = document.get("omitted", 0)
    return Reply(str(status), (), problems, omitted, body[:500].decode("utf-8", "replace"), document, version)


def _context(roots: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=roots)
    except OSError as error:
        raise SetupError(f"cannot read {roots}: {error.strerror or error}") from None
