"""One method of the contract as a REST endpoint."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contract.contract import Contract
from contract.rules import VALID
from contract.service import Method
from lifecycle.request_id import request_id
from rest_bridge.body import read_body
from rest_bridge.caller import Answer, Caller, model_headers
from rest_bridge.codec import Codec
from rest_bridge.deadline import timeout
from rest_bridge.document import read_document
from rest_bridge.problem import MOST, Problem, Problems, Refused
from rest_bridge.settings import BridgeSettings
from rest_bridge.translation import located, refused_body


class Endpoint:
    """JSON in, a call, JSON out. The rules are the server's; only a body that is no message is judged here."""

    def __init__(self, contract: Contract, method: Method, caller: Caller, settings: BridgeSettings) -> None:
        self._contract = contract
        self._method = method
        self._settings = settings
        self._request = Codec(method.input, contract.rules)
        self._response = Codec(method.output, contract.rules)
        self._caller = caller

    async def answer(self, request: Request) -> Response:
        """Answer one request; a refusal is an answer too."""
        identity = request_id(request.headers.get("x-request-id"))
        try:
            response = await self._answer(request, identity)
        except Refused as refusal:
            response = refusal.response()
        except ClientDisconnect:
            response = Response(status_code=499)  # Nobody reads it.
        response.headers["x-request-id"] = identity
        return response

    async def _answer(self, request: Request, identity: str) -> Response:
        settings = self._settings
        clock = asyncio.get_running_loop().time
        end = clock() + timeout(request.headers, settings.request_seconds, settings.max_request_seconds)
        document = read_document(await read_body(request, settings.max_body_bytes, settings.body_seconds))
        message = self._read(document)
        remaining = max(end - clock(), 0.0)
        try:
            answer = await _unless_disconnected(self._caller(message, remaining, identity), request)
        except grpc.aio.AioRpcError as error:
            refusal = refused_body(error, self._contract, self._method.input, document)
            refusal.headers.update(model_headers(error.trailing_metadata()))
            raise refusal from None
        return Response(self._response.write(answer.message), headers=dict(answer.headers), media_type="application/json")

    def _read(self, document: Any) -> Message:
        """The message. Raises Refused with every problem of the document, broken rules of its sound parts included."""
        problems = Problems()
        message = self._request.read(document, problems)
        if problems.count:
            seen = {problem.loc for problem in problems.found}
            verdict = VALID if problems.full else self._contract.rules.judge(message, self._method.rows, MOST - problems.count)
            for problem in located(verdict.violations, self._contract, self._method.input, document):
                if not _within(problem, seen):
                    problems.add(problem)
            unjudged = max(problems.unjudged_rows, verdict.unjudged_rows)
            raise Refused(422, problems.found, count=problems.count, unjudged_rows=unjudged)
        return message


def _within(problem: Problem, seen: set[tuple[str | int, ...]]) -> bool:
    """Whether a value around the broken one did not fit already; a rule on a whole message may follow from any that did not."""
    parts = problem.loc
    return parts == ("body",) or any(parts[:length] in seen for length in range(1, len(parts) + 1))


async def _unless_disconnected(call: Coroutine[Any, Any, Answer], request: Request) -> Answer:
    """Await the call; cancel it when the caller hangs up."""
    answer = asyncio.create_task(call)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return await answer
    finally:
        gone.cancel()
        answer.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
