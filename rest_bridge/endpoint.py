"""One method of the contract as a REST endpoint."""

import asyncio
from collections.abc import Mapping

import grpc
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foretell_contract.contract import Contract
from foretell_contract.service import Method
from foretell_lifecycle.request_id import request_id
from rest_bridge.caller import Caller, model_headers
from rest_bridge.http.body import read_body
from rest_bridge.http.deadline import timeout
from rest_bridge.http.disconnect import Disconnect
from rest_bridge.http.scope_extensions import WHOLE_ANSWER, SendWhole
from rest_bridge.http.shared_timer import SharedTimer
from rest_bridge.http.version_selector import chosen
from rest_bridge.json.codec import Codec
from rest_bridge.json.grpc_to_http import refused_body
from rest_bridge.json.number_row_codec import number_row_codec
from rest_bridge.json.request_problems import RequestRefused
from rest_bridge.json.strict_json import read_document
from rest_bridge.json.strict_message import StrictReader
from rest_bridge.settings import BridgeSettings

_HEADERS = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


class Endpoint:
    """An ASGI application: JSON in, a call, JSON out.

    The rules are the server's; only a body that is no message is judged here.
    """

    def __init__(self, contract: Contract, method: Method, caller: Caller, settings: BridgeSettings) -> None:
        self._contract = contract
        self._method = method
        self._settings = settings
        self._strict = StrictReader(contract, method)
        self._response = Codec(method.output, contract.rules)
        self._short_request = number_row_codec(method.input, method.rows, contract.rules)
        self._short_response = number_row_codec(method.output, method.answers, contract.rules)
        self._caller = caller
        self._rounds = SharedTimer(Disconnect.look)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a refusal is an answer too."""
        # Taken out, because it holds the scope: the two would wait for the garbage collector together, and the request with them.
        whole: SendWhole | None = scope.pop(WHOLE_ANSWER, None)
        headers = dict(reversed(scope["headers"]))  # Of a name that is said twice, the first counts.
        identity = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        try:
            body, model = await self._answer(scope, headers, receive, identity)
        except RequestRefused as refusal:
            response = refusal.response()
        except ClientDisconnect:
            response = Response(status_code=499)  # Nobody reads it.
        else:
            sent = [*_HEADERS, (b"x-request-id", identity.encode()), *model]
            if whole is None or not whole(sent, body):
                sent.append((b"content-length", str(len(body)).encode()))
                await send({"type": "http.response.start", "status": 200, "headers": sent})
                await send({"type": "http.response.body", "body": body})
            return
        response.headers["x-request-id"] = identity
        await response(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, identity: str
    ) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        """The JSON text of the answer, and the headers that name the model."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout(headers, settings.request_seconds, settings.max_request_seconds)
        choice = chosen(headers, scope.get("path_params"))
        body = await read_body(scope, headers, receive, settings.max_body_bytes, settings.body_seconds)
        message = self._read(body)
        try:
            with Disconnect(receive, self._rounds, loop):
                answer = await self._caller(message, max(end - loop.time(), 0.0), identity, choice)
        except grpc.aio.AioRpcError as error:
            refusal = refused_body(error, self._contract, self._method.input, read_document(body))
            refusal.headers.update(model_headers(error.trailing_metadata()))
            raise refusal from None
        return self._write(answer.message), answer.headers

    def _read(self, body: bytes) -> bytes:
        message = self._short_request.read(body) if self._short_request is not None else None
        return message if message is not None else self._strict.read(read_document(body)).SerializeToString()

    def _write(self, message: bytes) -> bytes:
        text = self._short_response.write(message) if self._short_response is not None else None
        return text if text is not None else self._response.write(self._method.response.FromString(message))
