"""The two doors of a running server, asked in bytes."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from foretell.testing.case import Came, Told, broken
from foretell_contract.errors import SetupError
from foretell_contract.service import Method, Shape
from grpc_server.transport.tls import Trust

SECONDS = 30.0
"""Longest wait for an answer."""

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    # A refusal may list 50 violations; grpcio drops some metadata above 8 kB unless told otherwise.
    ("grpc.max_metadata_size", 16_384),
)
_JSON = {"content-type": "application/json"}


def open_channel(target: str, roots: Path | None, *, tls: bool) -> grpc.Channel:
    """A channel to HOST:PORT, encrypted with `roots` or `tls`. Raises SetupError where the roots cannot be read."""
    credentials = Trust(roots, tls).credentials()
    return grpc.insecure_channel(target, _OPTIONS) if credentials is None else grpc.secure_channel(target, credentials, _OPTIONS)


class GrpcCaller:
    """Makes gRPC calls."""

    name = "gRPC"

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel: Any = channel  # The stubs have no words for calls in bytes.

    def ask(self, method: Method, messages: tuple[bytes, ...]) -> Came:
        """What comes to a message, or to a stream of them."""
        if method.shape is Shape.STREAM:
            call = self._channel.stream_stream(method.path)(iter(messages), timeout=SECONDS)
        else:
            call = self._channel.unary_stream(method.path)(messages[0], timeout=SECONDS)
        answers: list[bytes] = []
        try:
            answers.extend(call)
        except grpc.RpcError:
            return _refused(call)
        told = dict(call.trailing_metadata() or ())
        try:
            return Came("OK", tuple(map(method.response.FromString, answers)), version=str(told.get("model-version", "")))
        except DecodeError:
            return Came("OK, but what came is no " + method.output.full_name)


def _refused(call: Any) -> Came:
    status = Status()
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    info, bad = _detail(status, ErrorInfo()), _detail(status, BadRequest())
    code, text = call.code(), call.details() or ""
    if code is not grpc.StatusCode.INVALID_ARGUMENT:
        return Came(code.name, text=text)
    problems = tuple(Told(broken(each.field, each.reason), each.description) for each in bad.field_violations) if bad else ()
    if not problems and info is not None:
        problems = (Told(broken("", info.reason.lower()), text),)
    return Came(code.name, problems=problems, text=text)


def _detail(status: Status, detail: Any) -> Any:
    """The detail of this type; None where there is none."""
    return next((detail for packed in status.details if packed.Is(detail.DESCRIPTOR) and packed.Unpack(detail)), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def document(self) -> Any:
        """The body, where it is JSON; else None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class RestCaller:
    """Makes HTTP requests over one connection at a time."""

    name = "REST"

    def __init__(self, url: str, roots: Path | None) -> None:
        """Raises SetupError for what is no address of REST, or roots that cannot be read."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SetupError(f"{url!r} is no address of REST: write http://HOST:PORT")
        self._prefix = parts.path.rstrip("/")
        if parts.scheme == "http":
            self._connection = http.client.HTTPConnection(parts.netloc, timeout=SECONDS)
        else:
            self._connection = http.client.HTTPSConnection(parts.netloc, timeout=SECONDS, context=_context(roots))

    def ask(self, method: Method, body: bytes) -> Came:
        """What comes to a body."""
        try:
            reply = self.request("POST", method.paths[0], body)
        except (OSError, http.client.HTTPException) as error:
            return Came("no answer", text=f"{type(error).__name__}: {error}")
        return came(reply)

    def request(self, verb: str, path: str, body: bytes | None = None) -> Reply:
        """One request. Raises OSError or HTTPException where no response comes, even on a new connection."""
        try:
            return self._request(verb, path, body)
        except (OSError, http.client.HTTPException):
            self._connection.close()  # The server may have closed an idle one.
            return self._request(verb, path, body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, verb: str, path: str, body: bytes | None) -> Reply:
        self._connection.request(verb, self._prefix + path, body, _JSON)
        response = self._connection.getresponse()
        return Reply(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})


def came(reply: Reply) -> Came:
    """What a response to the path of a method says."""
    document = reply.document
    version = reply.headers.get("model-version", "")
    shown = reply.body[:500].decode("utf-8", "replace")
    listed = document.get("detail") if isinstance(document, dict) else None
    problems: tuple[Told, ...] = ()
    if reply.status == http.client.UNPROCESSABLE_ENTITY and isinstance(listed, list):
        problems = tuple(Told(broken(each["loc"][1:], each["type"]), each["msg"]) for each in listed)
    return Came(str(reply.status), (), problems, shown, document, version)


def _context(roots: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=roots)
    except OSError as error:
        raise SetupError(f"cannot read {roots}: {error.strerror or error}") from None
