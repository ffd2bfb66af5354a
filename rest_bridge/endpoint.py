"""The REST endpoint of one method."""

import asyncio
from collections.abc import Mapping

import grpc
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foretell_contract.contract import Contract
from foretell_contract.service import Method
from foretell_lifecycle.request_id import request_id
from rest_bridge.channel import Caller, model_headers
from rest_bridge.http.body import WHOLE_ANSWER, SendWhole, read_body
from rest_bridge.http.disconnect import Disconnect
from rest_bridge.http.guard import HEADERS
from rest_bridge.http.request_headers import timeout, version_selector
from rest_bridge.http.shared_timer import SharedTimer
from rest_bridge.json.codec import COLUMNS, Codec
from rest_bridge.json.column_form import ColumnForm, has_columns
from rest_bridge.json.grpc_to_http import refused_call
from rest_bridge.json.number_row_codec import number_row_codec
from rest_bridge.json.request_problems import RequestRefused
from rest_bridge.json.strict_reader import read_document, strict_reader
from rest_bridge.settings import BridgeSettings

_HEADERS = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


class Endpoint:
    """An ASGI application: JSON in, one call, JSON out.

    The server checks the rules. The endpoint checks them only for a body that does not fit the message, to report every problem.
    """

    def __init__(self, contract: Contract, method: Method, caller: Caller, settings: BridgeSettings) -> None:
        self._contract = contract
        self._method = method
        self._settings = settings
        self._strict = strict_reader(contract, method)
        self._response = Codec(method.output, contract.rules)
        self._columns = ColumnForm(method, contract.rules) if has_columns(method) else None
        forms = (None, self._columns) if self._columns else (None,)
        given, answered = (method.input, method.rows, contract.rules), (method.output, method.answers, contract.rules)
        self._fast_requests = {form: number_row_codec(*given, columns=bool(form)) for form in forms}
        self._fast_responses = {form: number_row_codec(*answered, columns=bool(form)) for form in forms}
        self._caller = caller
        self._timer = SharedTimer(Disconnect.tick)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        # Removed from the scope that it refers to: breaks the reference cycle, so the request needs no garbage collection.
        whole: SendWhole | None = scope.pop(WHOLE_ANSWER, None)
        headers = scope[HEADERS]
        identity = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        try:
            body, model = await self._answer(scope, headers, receive, identity)
        except RequestRefused as refused:
            response = refused.response()
        except ClientDisconnect:
            response = Response(status_code=499)  # The client is gone.
        else:
            response_headers = [*_HEADERS, (b"x-request-id", identity.encode()), *model]
            if whole is None or not whole(response_headers, body):
                response_headers.append((b"content-length", str(len(body)).encode()))
                await send({"type": "http.response.start", "status": 200, "headers": response_headers})
                await send({"type": "http.response.body", "body": body})
            return
        response.headers["x-request-id"] = identity
        await response(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, identity: str
    ) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        """The JSON text of the response, and the headers that name the model."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout(headers, settings.request_seconds, settings.max_request_seconds)
        selector = version_selector(headers, scope.get("path_params"))
        body = await read_body(scope, headers, receive, settings.max_body_bytes, settings.body_seconds)
        message, columns = self._read(body)
        try:
            with Disconnect(receive, self._timer, loop):
                answer = await self._caller(message, max(deadline - loop.time(), 0.0), identity, selector)
        except grpc.aio.AioRpcError as error:
            document = read_document(body)
            refused = refused_call(error, self._contract, self._method, columns.rows(document) if columns else document)
            refused.headers.update(model_headers(error.trailing_metadata()))
            raise columns.relocate(refused) if columns else refused from None
        return self._write(answer.message, columns), answer.headers

    def _read(self, body: bytes) -> tuple[bytes, ColumnForm | None]:
        """The serialised message, and the form of the body if it is in columns."""
        for form, codec in self._fast_requests.items():
            message = codec.read(body) if codec is not None else None
            if message is not None:
                return message, form
        document, columns = read_document(body), self._columns
        if columns is None or not isinstance(document, dict) or COLUMNS not in document:
            return self._strict(document).SerializeToString(), None
        try:
            return self._strict(columns.rows(document)).SerializeToString(), columns
        except RequestRefused as refused:
            raise columns.relocate(refused) from None

    def _write(self, message: bytes, columns: ColumnForm | None) -> bytes:
        """The JSON text of the answer, in the form of the request."""
        codec = self._fast_responses[columns]
        text = codec.write(message) if codec is not None else None
        if text is not None:
            return text
        return self._response.write(self._method.response.FromString(message), self._method.answers if columns else None)
